// Command echo is what the pods of tests run: a server that says who asked, a client, and, without arguments, the process
// that holds a pod's namespaces.
//
//	echo serve                  HTTP and gRPC's question after health at port 8080, and at port 9090 lines that come back
//	echo get URL [TIMEOUT]      prints the answer; fails when there is none within TIMEOUT (5s) or it is not 200
//	echo load URL [TIMEOUT]     asks until its input ends, by one connection and by a new one each time; prints failures and the counts
//	echo talk ADDRESS           keeps one connection open until its input ends, and sends a line every 100 ms; prints each that came back
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var err error
	switch arguments := os.Args[1:]; {
	case len(arguments) == 0:
		hold()
	case arguments[0] == "serve":
		err = serve()
	case arguments[0] == "get" && len(arguments) > 1:
		err = get(arguments[1], arguments[2:])
	case arguments[0] == "load" && len(arguments) > 1:
		err = load(arguments[1], arguments[2:])
	case arguments[0] == "talk" && len(arguments) > 1:
		err = talk(arguments[1])
	default:
		err = fmt.Errorf("usage: echo [serve | get URL [TIMEOUT] | load URL [TIMEOUT] | talk ADDRESS]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hold waits to be ended, and takes leave of the processes that are left to it.
func hold() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}

func serve() error {
	lines, err := net.Listen("tcp", ":9090")
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := lines.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				io.Copy(connection, connection)
			}()
		}
	}()
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(answer, "host=%s from=%s path=%s\n", name, request.RemoteAddr, request.URL.Path)
	})
	mux.HandleFunc("/grpc.health.v1.Health/Check", isHealthy)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: ":8080", Handler: mux, Protocols: protocols}
	return server.ListenAndServe()
}

// isHealthy answers in gRPC: one message, whose field 1 says SERVING, and the status in a trailer.
func isHealthy(answer http.ResponseWriter, _ *http.Request) {
	answer.Header().Set("Content-Type", "application/grpc")
	answer.Header().Set("Trailer", "Grpc-Status")
	answer.Write([]byte{0, 0, 0, 0, 2, 0x08, 1})
	answer.Header().Set("Grpc-Status", "0")
}

// timeoutOf is the first of these words, or five seconds without one.
func timeoutOf(rest []string) (time.Duration, error) {
	if len(rest) == 0 {
		return 5 * time.Second, nil
	}
	return time.ParseDuration(rest[0])
}

func get(url string, rest []string) error {
	timeout, err := timeoutOf(rest)
	if err != nil {
		return err
	}
	return ask(&http.Client{Timeout: timeout}, url, os.Stdout)
}

func ask(client *http.Client, url string, out io.Writer) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(out, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", answer.Status)
	}
	return nil
}

func load(url string, rest []string) error {
	timeout, err := timeoutOf(rest)
	if err != nil {
		return err
	}
	var good, failed atomic.Int64
	for _, anew := range []bool{false, true} {
		// A request that failed is not tried again by the client: its connection is its own.
		client := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: anew, MaxConnsPerHost: 1}}
		go func() {
			for {
				if err := ask(client, url, io.Discard); err != nil {
					failed.Add(1)
					fmt.Printf("failed after %d, anew=%v: %v\n", good.Load(), anew, err)
				} else {
					good.Add(1)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin)
	fmt.Printf("good=%d failed=%d\n", good.Load(), failed.Load())
	return nil
}

func talk(address string) error {
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	back := bufio.NewScanner(connection)
	for number := 0; ; number++ {
		if _, err := fmt.Fprintln(connection, number); err != nil {
			return err
		}
		if !back.Scan() {
			return fmt.Errorf("the connection ended after %d lines: %w", number, back.Err())
		}
		fmt.Println(back.Text())
		time.Sleep(100 * time.Millisecond)
	}
}
