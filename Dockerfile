# The app in a container, without a GPU. assets/deployment.md says how to run it.
FROM python:3.12-slim

# Hugging Face Spaces run as user 1000.
RUN useradd --create-home --uid 1000 prunescope && install --directory --owner 1000 --group 1000 /data
WORKDIR /app

# The wheels of this index hold no CUDA libraries, which take gigabytes; another index brings them back.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.txt ./
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)" \
    && pip install --no-cache-dir --requirement requirements.txt

COPY .streamlit/config.toml .streamlit/
COPY assets assets
COPY engine engine
COPY pages pages
COPY app.py ./
# Here, because the user below cannot write to this directory.
RUN python -m compileall -q app.py engine pages

USER prunescope
ENV PRUNESCOPE_HOME=/data/prunescope HF_HOME=/data/huggingface PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/healthz', timeout=9)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
