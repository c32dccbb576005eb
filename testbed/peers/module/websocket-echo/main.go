// An echo server of WebSocket for tests: every message comes back as it was, with compression where the client wants it. /refused
// answers 426 and a body. On standard output: {"event":"listening","port":N,"pid":N}.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

// Above the largest message of the tests.
const messageBytesMax = 64 << 20

func main() {
	address := "127.0.0.1:0"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	fmt.Printf("{\"event\":\"listening\",\"port\":%d,\"pid\":%d}\n", port, os.Getpid())
	upgrader := websocket.Upgrader{
		CheckOrigin:       func(*http.Request) bool { return true },
		EnableCompression: true,
		Subprotocols:      []string{"echo"},
	}
	http.HandleFunc("/refused", func(response http.ResponseWriter, _ *http.Request) {
		http.Error(response, "no WebSocket here", http.StatusUpgradeRequired)
	})
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		connection, err := upgrader.Upgrade(response, request, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		connection.SetReadLimit(messageBytesMax)
		echo(connection)
	})
	_ = http.Serve(listener, nil)
}

func echo(connection *websocket.Conn) {
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if err := connection.WriteMessage(kind, message); err != nil {
			return
		}
	}
}
