# Image for training: docker build -f docker/training.Dockerfile [--build-arg RUNTIME=cpu] .
# torch comes from the package index or from local wheels.
# For a package index behind a private CA add --secret id=ca,src=ca.pem; for local wheels add --build-context wheels=folder.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM scratch AS wheels

FROM ${BASE_IMAGE} AS dependencies
ARG RUNTIME=gpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS=/wheels PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/triage
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python requirements.py "${RUNTIME}" train >requirements.txt && \
    /opt/pip/bin/pip --python /opt/triage/bin/python install --no-compile -c constraints.txt -r requirements.txt

FROM dependencies AS application
COPY README.md LICENSE NOTICE agcnn_triage.py ./
COPY model model
COPY training training
COPY service service
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    /opt/pip/bin/pip --python /opt/triage/bin/python install --no-compile --no-deps --root /staged .

FROM ${BASE_IMAGE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="AG-CNN triage, training" \
      org.opencontainers.image.description="Trains, evaluates and exports the network of AG-CNN triage. Research use only." \
      org.opencontainers.image.version="0.5.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/agcnn-triage/agcnn-triage" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install -d -o 10001 -g 10001 /runs
COPY --from=dependencies /opt/triage /opt/triage
COPY --from=application /staged /
ENV PATH=/opt/triage/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /runs
ENTRYPOINT ["agcnn"]
CMD ["--help"]
