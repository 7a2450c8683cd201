# Image of the service: docker build -f docker/service.Dockerfile [--build-arg RUNTIME=gpu] .
# For back-fills, also on Ray, add --build-arg EXTRAS="scale jobs": further extras of pyproject.toml.
# For a package index behind a private CA add --secret id=ca,src=ca.pem; for local wheels add --build-context wheels=folder.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM scratch AS wheels

FROM ${BASE_IMAGE} AS dependencies
ARG RUNTIME=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS=/wheels PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/triage
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python requirements.py "${RUNTIME}" postgres s3 traces >requirements.txt && \
    /opt/pip/bin/pip --python /opt/triage/bin/python install --no-compile -c constraints.txt -r requirements.txt && \
    find /opt/triage/lib -type d -name tests -prune -exec rm -r {} + && \
    cd /opt/triage/lib/python3*/site-packages && (cd onnxruntime && rm -r quantization tools transformers) && \
    # Of the codecs of imagecodecs, keep those that are used: 9 MB of 82.
    find imagecodecs -name '*.so' ! -name '_shared*' ! -name '_jpeg8.*' ! -name '_jpegls.*' ! -name '_jpeg2k.*' \
         ! -name '_htj2k.*' -delete && \
    find imagecodecs.libs -name '*.so*' ! -name 'libjpeg-*' ! -name 'libcharls-*' ! -name 'libopenjp2-*' \
         ! -name 'libopenjph-*' ! -name 'liblcms2-*' -delete && \
    /opt/triage/bin/python -c "from imagecodecs import *; assert all(c.available for c in (HTJ2K, JPEG2K, JPEG8, JPEGLS))" && \
    # Of the services that botocore describes, keep S3 and those that give credentials: 1 MB of 28.
    find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -r {} + && \
    /opt/triage/bin/python -c "from boto3.session import Session; [Session().client(s, region_name='x') for s in ('s3', 'sts')]" && \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/triage/lib
ARG EXTRAS=
# On top, so that what is above is built once for images with and without.
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=ca \
    if [ -n "${EXTRAS}" ]; then \
        if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
        python requirements.py ${EXTRAS} >extras.txt && \
        /opt/pip/bin/pip --python /opt/triage/bin/python install --no-compile -c constraints.txt -r extras.txt && \
        find /opt/triage/lib -type d -name tests -prune -exec rm -r {} + && \
        (cd /opt/triage/lib/python3*/site-packages && rm -rf ray/jars ray/llm ray/rllib) && \
        python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/triage/lib; \
    fi

FROM dependencies AS application
COPY README.md LICENSE NOTICE agcnn_triage.py ./
COPY samples samples
COPY service service
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    /opt/pip/bin/pip --python /opt/triage/bin/python install --no-compile --no-deps --root /staged . && \
    rm /staged/opt/triage/bin/agcnn && \
    python -m compileall -q -s /staged --invalidation-mode unchecked-hash /staged/opt/triage/lib

FROM ${BASE_IMAGE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="AG-CNN triage" \
      org.opencontainers.image.description="Chest X-ray triage: DICOM in, findings and priority out. Research use only, not a medical device." \
      org.opencontainers.image.version="0.5.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/agcnn-triage/agcnn-triage" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
           /usr/lib/python3*/ensurepip /usr/share/python-wheels && \
    # A login shell, as which KubeRay starts a node, sets PATH anew.
    echo 'PATH=/opt/triage/bin:$PATH' >/etc/profile.d/triage.sh && \
    install -d -m 700 -o 10001 -g 10001 /data
COPY --from=dependencies /opt/triage /opt/triage
COPY --from=application /staged /
COPY docker/healthcheck.py /opt/triage/
ENV PATH=/opt/triage/bin:$PATH PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 RAY_USAGE_STATS_ENABLED=0 \
    TRIAGE_HTTP__HOST=0.0.0.0 TRIAGE_METRICS__HOST=0.0.0.0 TRIAGE_STORAGE__FOLDER=/data
USER 10001:10001
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --start-interval=1s --retries=3 \
    CMD ["python", "/opt/triage/healthcheck.py"]
ENTRYPOINT ["triage"]
CMD ["serve"]
