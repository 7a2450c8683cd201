"""Annotation by which a DICOMweb route receives the catalogue."""

from typing import Annotated

from fastapi import Depends, Request

from service.dicom_web.catalogue import Catalogue


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


CatalogueDep = Annotated[Catalogue, Depends(_catalogue)]
