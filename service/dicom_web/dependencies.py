"""What a DICOMweb route asks for by its annotation."""

from typing import Annotated

from fastapi import Depends, Request

from service.dicom_web.catalogue import Catalogue


def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


CatalogueDep = Annotated[Catalogue, Depends(_catalogue)]
