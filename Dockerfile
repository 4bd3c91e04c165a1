# ariel_tf with everything that it needs, for the CPU:
#
#     docker build --tag ariel_tf .
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" ariel_tf train --wavelength 12
#
# For GPUs: docker build --build-arg EXTRAS='[gpu]' --tag ariel_tf:gpu . and `docker run --gpus all ...`.
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-deps --wheel-dir /dist .

FROM python:3.11-slim
ARG EXTRAS=""
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir "$(echo /dist/*.whl)${EXTRAS}"
# Any user may run it: caches are in folders that everybody can write.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib PYTHONUNBUFFERED=1
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["ariel"]
CMD ["--help"]
