# Ringfence's programs on Debian 12. One image for server, command line, reference agent and replayer.
FROM debian:12-slim AS build
WORKDIR /src
# Packages first: they change rarely, so that this layer is kept.
COPY scripts/install-deps scripts/
RUN scripts/install-deps --build
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF && cmake --build --preset release -j "$(nproc)"

FROM debian:12-slim
# The shared libraries that the programs link, and PostgreSQL for the embedded cluster (used when no URL is given). Its package
# would make a cluster of its own.
RUN mkdir -p /etc/postgresql-common && \
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf && \
    apt-get update && \
    apt-get install -y --no-install-recommends \
      libgrpc++1.51 libprotobuf32 libabsl20220623 libpqxx-6.4 libprometheus-cpp-core1.0 \
      libssl3 libyaml-cpp0.7 libcpp-httplib0.11 postgresql-15 openssl tzdata && \
    rm -rf /var/lib/apt/lists/*
RUN useradd --system --create-home --home-dir /var/lib/ringfence ringfence && \
    install -d -o ringfence -m 700 /etc/ringfence
COPY --from=build /src/build/release/bin/ /usr/local/bin/
USER ringfence
WORKDIR /var/lib/ringfence
CMD ["ringfenced", "--help"]
