"""What a destination's settings add to an HL7 message: applications and facilities, control id, link, older fields."""

import hashlib

from service.destinations import Destination
from service.objects.codes import PRIVATE
from service.objects.hl7 import control_id
from service.objects.hl7_text import FIELD, components, escaped, segment
from service.storage.outbox import Delivery

_LINK = ("VIEWER", "Study in the viewer", PRIVATE)


def delivery_control_id(delivery: Delivery) -> str:
    """Return MSH-10: the same for every attempt of an order, another one if the object is ordered anew."""
    return control_id(hashlib.sha256(f"{delivery.id}/{delivery.ordered.isoformat()}".encode()).digest())


def addressed(message: bytes, destination: Destination, delivery: Delivery) -> bytes:
    """Return the message of `objects.hl7` for a destination."""
    segments = [line.split(FIELD) for line in message.decode().rstrip("\r").split("\r")]
    by_name = {fields[0]: fields for fields in segments}  # the last OBX replaces the others
    header = by_name["MSH"]  # its first field is the separator: MSH-n is at n - 1
    header[2:6] = (
        destination.sending_application,
        destination.sending_facility,
        destination.receiving_application,
        destination.receiving_facility,
    )
    header[9] = delivery_control_id(delivery)
    if destination.obr_priority:
        letter = by_name["TQ1"][9].split("^")[0]
        by_name["OBR"][5] = letter
        by_name["OBR"] += [""] * (28 - len(by_name["OBR"]))
        by_name["OBR"][27] = f"^^^^^{letter}"
    if viewer := destination.viewer_of(delivery.prediction_id, delivery.study_instance_uid):
        segments.append(_link(viewer, by_name["OBX"]).split(FIELD))
    return "".join(f"{FIELD.join(fields)}\r" for fields in segments).encode()


def _link(url: str, last: list[str]) -> str:
    """Return an OBX with a reference pointer, HL7 v2.5.1 2.A.64."""
    value = f"{escaped(url)}^^TEXT^HTML"  # tables 0191 and 0291
    return segment(
        "OBX", {1: str(int(last[1]) + 1), 2: "RP", 3: components(*_LINK), 5: value, 11: last[11], 14: last[14]}
    )
