FROM golang:1.26 AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
# The modules change less often than the source, and are a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY agent/ agent/
COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
COPY hack/charts/ hack/charts/
COPY model/ model/
# What "make charts" left in the context is checked only.
RUN go run ./hack/charts
RUN CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} go build -trimpath -ldflags "-s -w" -o /fairlead . && \
    CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} go build -trimpath -ldflags "-s -w" -o /fairlead-proxy ./cmd/fairlead-proxy

FROM gcr.io/distroless/static:nonroot
COPY --from=build /fairlead /fairlead-proxy /
USER 65532:65532
ENTRYPOINT ["/fairlead"]
