# syntax=docker/dockerfile:1
# The studio as one container: page, API and TensorBoard on port 7860. Made for a Hugging Face Docker Space, and for
# any other host:  docker build -t guanaco-studio . && docker run --gpus all -p 7860:7860 -e STUDIO_ACCESS_TOKEN=… guanaco-studio

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# ---- build: everything that is installed, in one virtual environment
FROM ${PYTHON_IMAGE} AS build

# Which CUDA torch is built for. 12 runs with NVIDIA drivers from 525 on, so it is the safe choice where the driver is
# not yours to update; 13 needs a driver from 580 on and brings the newest torch; cpu asks for no CUDA at all, which
# takes TORCH_INDEX_URL, a package index that has such builds. On a Space, set these as its variables.
ARG CUDA=12
ARG TORCH_INDEX_URL=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN python -m venv /opt/studio
ENV PATH=/opt/studio/bin:$PATH
WORKDIR /build

# torch first: it is most of the image, and changes least.
RUN case "$CUDA" in \
      12) torch="torch>=2.9,<2.11" ;; \
      13) torch="torch>=2.11,<2.14" ;; \
      cpu) torch="torch>=2.9,<2.14"; test -n "$TORCH_INDEX_URL" || { echo "CUDA=cpu needs TORCH_INDEX_URL"; exit 1; } ;; \
      *) echo "CUDA must be 12, 13 or cpu, not $CUDA"; exit 1 ;; \
    esac; \
    python -m pip install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$torch"; \
    python -m pip freeze | grep '^torch==' > constraints.txt

# Then the other packages, named by pyproject.toml alone, so that a change of the code does not install them anew.
COPY pyproject.toml ./
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" \
      > requirements.txt; \
    python -m pip install --constraint constraints.txt --requirement requirements.txt; \
    python -m pip check

# ---- the image itself: nothing that was only needed to build it
FROM ${PYTHON_IMAGE}

# The one compiler in here is no left-over: Triton compiles the launchers of its GPU kernels with it when they first run,
# in training. (The much smaller tcc does not do: it cannot link by a library's file name.)
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 studio

COPY --from=build /opt/studio /opt/studio
WORKDIR /app
# Owned by root: the process can read its code, and write only beneath its home folder.
COPY LICENSE ./
COPY adapters/ adapters/
COPY core/ core/
COPY studio/ studio/

ENV PATH=/opt/studio/bin:$PATH \
    HOME=/home/studio \
    CC=gcc \
    HF_HOME=/home/studio/.cache/huggingface \
    GRADIO_TEMP_DIR=/home/studio/.cache/gradio \
    TRITON_CACHE_DIR=/home/studio/.cache/triton \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 1000
EXPOSE 7860
# A web process that answers is a healthy one: the engine behind it reports its own state on the page.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
# The exec form: python is process 1 itself, and gets the SIGTERM.
CMD ["python", "-m", "studio", "serve", "--host", "0.0.0.0", "--port", "7860"]
