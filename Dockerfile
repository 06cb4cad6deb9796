# A tag by default; a release names it with its digest.
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
WORKDIR /src
RUN python -m venv /opt/venv
COPY pyproject.toml ./
# The dependencies in a layer of their own, which a change of the code leaves as it is.
RUN /opt/venv/bin/python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > requirements.txt \
 && /opt/venv/bin/pip install --no-cache-dir --requirement requirements.txt
COPY LICENSE README.md ./
COPY exporter exporter
# What runs needs no installer.
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps . \
 && /opt/venv/bin/python -m pip uninstall --yes --quiet pip

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="yc-workflow-exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
ENV EXPORTER_REVISION=${REVISION} \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/venv /opt/venv
# For a volume with `state.file`: a new one takes the owner from here.
RUN install -d -o 65534 -g 65534 /var/lib/yc-workflow-exporter
USER 65534:65534
EXPOSE 10317
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["python", "-m", "exporter.health"]
ENTRYPOINT ["yc-workflow-exporter"]
