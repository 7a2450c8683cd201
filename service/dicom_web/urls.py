"""Absolute URLs in answers: Retrieve URLs and Bulk Data URIs."""

from starlette.requests import Request


def root(request: Request) -> str:
    """Return the base URL of DICOMweb as the client sees it, without a trailing slash."""
    return f"{str(request.base_url).rstrip('/')}/dicom-web"
