# The image holds one static binary, the certificates it trusts and an empty
# data directory. It is built from scratch, so that the Go image is the only
# outside thing to trust and to keep up to date. BASE_IMAGE takes another base,
# such as a distroless one, where a policy asks for it. Pin by digest to release.
ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=scratch

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# Shown by docspace-nats version; empty is a development build.
ARG VERSION=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=${VERSION}" -o /out/docspace-nats ./cmd/docspace-nats
RUN mkdir -p /out/data

FROM ${BASE_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/docspace-nats /usr/local/bin/docspace-nats
COPY --from=build --chown=65532:65532 /out/data /data

# Outside a container the state is shown on the loopback interface only.
ENV HTTP_ADDR=0.0.0.0:8080 \
    NATS_DATA_DIR=/data

# A number, because Kubernetes cannot see that a name is not root.
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8080

# No HEALTHCHECK: without a shell there is nothing to ask /readyz with from
# inside. Ask it from outside; see deploy/.
ENTRYPOINT ["/usr/local/bin/docspace-nats"]
CMD ["run"]
