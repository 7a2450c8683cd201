"""Names of the header fields that the processes of this service exchange; it imports nothing."""

INSTANCE_HEADER = "X-Sop-Instance-Uid"  # SOP Instance UID that a C-STORE request announced for the data set in the body
