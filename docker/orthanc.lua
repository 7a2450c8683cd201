-- Sends every radiograph that Orthanc receives to the service, and stores its priority and result as metadata and its
-- overlay as an attachment. For a trial only: a file that the service refuses, or cannot accept now, is not sent again.

local SERVICE = 'http://service:8000'

local function key()
  local file = assert(io.open('/run/secrets/pacs_key'))
  local text = file:read('*l')
  file:close()
  return text
end

function OnStoredInstance(id, tags, metadata, origin)
  if tags.Modality ~= 'CR' and tags.Modality ~= 'DX' then
    return
  end
  local instance = '/instances/' .. id
  local headers = {['Authorization'] = 'Bearer ' .. key(), ['Content-Type'] = 'application/dicom'}
  local answer = HttpPost(SERVICE .. '/v1/predictions', RestApiGet(instance .. '/file'), headers)
  if answer == nil or answer:sub(1, 1) ~= '{' then -- nil or Orthanc's own message, depending on its version
    RestApiPut(instance .. '/metadata/TriagePriority', 'none')
    return
  end
  local prediction = ParseJson(answer)
  local study = ParseJson(RestApiGet(instance .. '/study')).ID
  RestApiPut(instance .. '/metadata/TriageResult', answer)
  RestApiPut(instance .. '/attachments/TriageOverlay', HttpGet(SERVICE .. prediction.links.overlay, headers))
  RestApiPut(instance .. '/metadata/TriagePriority', prediction.priority)
  RestApiPut('/studies/' .. study .. '/metadata/TriagePriority', prediction.priority)
end
