// Runs every retrieve and search call of dicomweb-client with its default arguments, and prints what each returned:
// the number of results or datasets, or the bytes of each part.
//
// node client.cjs MODULE URL STUDY SERIES INSTANCE

const [, , module_, url, studyInstanceUID, seriesInstanceUID, sopInstanceUID] = process.argv;

/** As much of a browser's XMLHttpRequest as the client uses, over fetch. */
globalThis.XMLHttpRequest = class {
  headers = {};

  open(method, address) {
    Object.assign(this, { method, address });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  getResponseHeader(name) {
    return this.answer.headers.get(name);
  }

  getAllResponseHeaders() {
    return [...this.answer.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  }

  async send() {
    // A browser sends Accept: */* where the client names nothing, as fetch does.
    this.answer = await fetch(this.address, { method: this.method, headers: this.headers });
    const content = await this.answer.arrayBuffer();
    const text = () => new TextDecoder().decode(content);
    const read = { arraybuffer: () => content, json: () => JSON.parse(text()) }[this.responseType] ?? text;
    this.status = this.answer.status;
    this.response = this.status === 200 ? read() : text();
    this.readyState = 4;
    this.onreadystatechange();
  }
};

console.debug = () => {}; // the client writes to standard output, where the answers go
const { api } = require(module_);

const size = (content) => content.byteLength ?? content.length;
const sizes = (parts) => parts.map(size);
const length = (results) => results.length;

async function main() {
  const client = new api.DICOMwebClient({ url });
  const study = { studyInstanceUID };
  const series = { ...study, seriesInstanceUID };
  const instance = { ...series, sopInstanceUID };
  const frames = { ...instance, frameNumbers: [1] };
  const [metadata] = await client.retrieveInstanceMetadata(instance);
  const pixelData = { BulkDataURI: metadata["7FE00010"].BulkDataURI };
  const lutData = { BulkDataURI: metadata["00283010"].Value[0]["00283006"].BulkDataURI };

  const calls = {
    searchForStudies: [{ queryParams: { StudyInstanceUID: studyInstanceUID } }, length],
    searchForSeries: [study, length],
    searchForInstances: [study, length],
    retrieveStudyMetadata: [study, length],
    retrieveSeriesMetadata: [series, length],
    retrieveInstanceMetadata: [instance, length],
    retrieveStudy: [study, sizes],
    retrieveSeries: [series, sizes],
    retrieveInstance: [instance, size],
    retrieveInstanceFrames: [frames, sizes],
    retrieveBulkData: [pixelData, sizes],
    retrieveInstanceRendered: [instance, ([picture]) => size(picture)],
    retrieveInstanceThumbnail: [instance, ([picture]) => size(picture)],
    retrieveInstanceFramesRendered: [frames, size],
    retrieveInstanceFramesThumbnail: [frames, ([picture]) => size(picture)],
  };
  const answers = { lutData: sizes(await client.retrieveBulkData(lutData)) };
  for (const [name, [options, describe]] of Object.entries(calls)) {
    try {
      answers[name] = describe(await client[name](options));
    } catch (error) {
      throw new Error(`${name}: ${error.status} ${error.response ?? error.stack}`);
    }
  }
  process.stdout.write(JSON.stringify(answers));
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
