// An external authorizer of Envoy's protocol by gRPC, from its published definitions. It decides by the path of the request and tells
// what it was asked, a line of JSON each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

type server struct {
	auth.UnimplementedAuthorizationServer
	mu sync.Mutex
}

func (s *server) tell(what map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, _ := json.Marshal(what)
	fmt.Println(string(line))
}

func header(key, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: key, Value: value}}
}

func (s *server) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	attributes := request.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	s.tell(map[string]any{
		"event":     "asked",
		"principal": attributes.GetSource().GetPrincipal(),
		"source":    attributes.GetSource().GetAddress().GetSocketAddress().GetAddress(),
		"port":      attributes.GetDestination().GetAddress().GetSocketAddress().GetPortValue(),
		"method":    http.GetMethod(),
		"path":      http.GetPath(),
		"host":      http.GetHost(),
		"user":      http.GetHeaders()["x-user"],
		"body":      http.GetBody(),
		"raw":       string(http.GetRawBody()),
		"seconds":   attributes.GetRequest().GetTime().GetSeconds(),
	})
	path := http.GetPath()
	switch {
	case strings.HasPrefix(path, "/allowed"):
		return &auth.CheckResponse{
			Status: &status.Status{Code: int32(codes.OK)},
			HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
				Headers:              []*core.HeaderValueOption{header("x-user", "alice")},
				HeadersToRemove:      []string{"authorization"},
				ResponseHeadersToAdd: []*core.HeaderValueOption{header("x-quota", "7")},
			}},
		}, nil
	case strings.HasPrefix(path, "/empty"):
		return &auth.CheckResponse{}, nil
	case strings.HasPrefix(path, "/broken"):
		return nil, grpcstatus.Error(codes.Internal, "as it was asked")
	case strings.HasPrefix(path, "/slow"):
		<-ctx.Done()
		s.tell(map[string]any{"event": "given up", "path": path})
		return nil, ctx.Err()
	}
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status:  &kind.HttpStatus{Code: kind.StatusCode_Locked},
			Headers: []*core.HeaderValueOption{header("x-why", "because"), header("content-type", "application/json")},
			Body:    `{"no":1}`,
		}},
	}, nil
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := &server{}
	s.tell(map[string]any{"event": "listening", "port": listener.Addr().(*net.TCPAddr).Port})
	g := grpc.NewServer()
	auth.RegisterAuthorizationServer(g, s)
	if err := g.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
