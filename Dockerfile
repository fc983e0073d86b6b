# The service in a small image. Build: docker build -t tidings .
# Run:   docker run --rm -e TIDINGS__DATABASE__URL=postgres://… tidings migrate
#        docker run -p 8080:8080 -e TIDINGS__DATABASE__URL=postgres://… -e TIDINGS__SECRETS__MASTER_KEY=… \
#            -e TIDINGS__SERVER__PLATFORM_KEY=tk_platform_… tidings
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src

# The dependencies first, in a layer of their own that outlives changes to the source.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked --bin tidings \
    && rm -rf src

# `.sqlx` holds what the database says about each statement, so no database is needed here.
COPY . .
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin tidings \
    && strip target/release/tidings

FROM debian:bookworm-slim
# Receivers' certificates are checked against the system's authorities.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin tidings
COPY --from=build /src/target/release/tidings /usr/local/bin/tidings
USER tidings
ENV TIDINGS__SERVER__LISTEN=0.0.0.0:8080 \
    TIDINGS__LOG__FORMAT=json
EXPOSE 8080
# Asks /healthz. A container with `--role dispatch` alone has no API: run it with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["tidings", "healthcheck"]
ENTRYPOINT ["tidings"]
CMD ["serve"]
