# Stand-ins, built from Debian's packages, for the published images of the compose file: for machines without a registry.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update -qq

FROM base AS nginx
RUN apt-get install -y -qq --no-install-recommends nginx-light && ln -sf /dev/stderr /var/log/nginx/error.log
USER 101:101

FROM base AS postgres
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 postgres && \
    install -D /dev/null /etc/postgresql-common/createcluster.conf && \
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf && \
    apt-get install -y -qq --no-install-recommends postgresql-15 && \
    install -d -o 999 -g 999 -m 700 /var/lib/postgresql/data
COPY --chmod=755 postgres.sh /usr/local/bin/postgres.sh
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres.sh"]

FROM base AS prometheus
RUN apt-get install -y -qq --no-install-recommends prometheus && install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
ENTRYPOINT ["prometheus"]

FROM base AS orthanc
RUN apt-get install -y -qq --no-install-recommends orthanc && rm -r /etc/orthanc && mkdir /etc/orthanc
CMD ["Orthanc", "/etc/orthanc"]
