# The gateway in a container, as a user without rights, with its state in a volume.
#
#     docker build -t clawhost .
#     docker run --rm -v clawhost:/var/lib/clawhost -e CLAWHOST_GATEWAY_BIND=lan \
#         -e CLAWHOST_GATEWAY_TOKEN="$(openssl rand -hex 24)" -p 127.0.0.1:18789:18789 clawhost
#
# Without these two variables it listens on the container's own loopback, which no published port leads to. That is meant:
# inside a container nobody can tell who will reach a port, so listening there is said in so many words and with a secret,
# and the gateway refuses to start without one. `-p 127.0.0.1:…` keeps it to this machine; beyond it, switch TLS on
# ([gateway.tls] in a config.toml in the volume) or put a proxy in front.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package clawhost-bin

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/clawhost --shell /usr/sbin/nologin clawhost \
    && install -d -m 0700 -o clawhost -g clawhost /var/lib/clawhost
COPY --from=build /src/target/release/clawhost /usr/local/bin/clawhost
# By number, so that an orchestrator sees that it is not root.
USER 10001:10001
ENV HOME=/var/lib/clawhost CLAWHOST_STATE_DIR=/var/lib/clawhost
# A config.toml is looked for here, and in the volume's top folder.
WORKDIR /var/lib/clawhost
VOLUME /var/lib/clawhost
EXPOSE 18789
# Finds address and secret in the volume, as any command of the same user does.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["clawhost", "health", "--timeout", "5000"]
# The gateway tells its clients, finishes what runs, and ends with 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["clawhost"]
CMD ["run"]
