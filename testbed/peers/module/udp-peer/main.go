// Real protocols over UDP, as servers and as clients that count who answered:
//
//	udp-peer dns-server NAME       DNS on port 7000: each question is answered with a TXT record of NAME
//	udp-peer quic-server NAME      QUIC on port 7000: each stream is answered with NAME and what came on it
//	udp-peer dns ADDRESS COUNT     so many questions, each from a socket of its own
//	udp-peer quic ADDRESS COUNT    so many connections, each from a socket of its own, each with two streams
//
// Clients print one JSON object: who answered, or the error, and how often.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

const (
	port    = ":7000"
	alpn    = "echo"
	atOnce  = 8
	message = "hello"
	limit   = 5 * time.Second
)

func main() {
	switch kind, what := os.Args[1], os.Args[2]; kind {
	case "dns-server":
		serveDNS(what)
	case "quic-server":
		serveQUIC(what)
	case "dns":
		tally(askDNS, what)
	case "quic":
		tally(askQUIC, what)
	default:
		panic(kind)
	}
}

func listening() {
	fmt.Printf("{\"event\":\"listening\",\"pid\":%d}\n", os.Getpid())
}

func serveDNS(name string) {
	handler := dns.HandlerFunc(func(writer dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		head := dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}
		answer.Answer = append(answer.Answer, &dns.TXT{Hdr: head, Txt: []string{name}})
		_ = writer.WriteMsg(answer)
	})
	server := &dns.Server{Addr: port, Net: "udp", Handler: handler, NotifyStartedFunc: listening}
	panic(server.ListenAndServe())
}

func askDNS(address string) (string, error) {
	question := new(dns.Msg).SetQuestion("who.test.", dns.TypeTXT)
	client := &dns.Client{Timeout: limit}
	answer, _, err := client.Exchange(question, address)
	if err != nil {
		return "", err
	}
	return answer.Answer[0].(*dns.TXT).Txt[0], nil
}

func serveQUIC(name string) {
	listener, err := quic.ListenAddr(port, serverTLS(), nil)
	if err != nil {
		panic(err)
	}
	listening()
	for {
		connection, err := listener.Accept(context.Background())
		if err != nil {
			panic(err)
		}
		go serveStreams(connection, name)
	}
}

func serveStreams(connection *quic.Conn, name string) {
	for {
		stream, err := connection.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			if text, err := io.ReadAll(stream); err == nil {
				fmt.Fprintf(stream, "%s %s", name, text)
			}
		}()
	}
}

// A connection is served by one backend to its end, or its handshake and its second stream would not come through.
func askQUIC(address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	trust := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}
	connection, err := quic.DialAddr(ctx, address, trust, nil)
	if err != nil {
		return "", err
	}
	defer connection.CloseWithError(0, "")
	var who string
	for range 2 {
		stream, err := connection.OpenStreamSync(ctx)
		if err != nil {
			return "", err
		}
		if _, err := io.WriteString(stream, message); err != nil {
			return "", err
		}
		stream.Close()
		text, err := io.ReadAll(stream)
		if err != nil {
			return "", err
		}
		name, echoed, _ := strings.Cut(string(text), " ")
		if echoed != message || (who != "" && who != name) {
			return "", fmt.Errorf("wrong answer %q after one of %q", text, who)
		}
		who = name
	}
	return who, nil
}

func tally(ask func(address string) (string, error), address string) {
	count, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	answers := make(chan string)
	turns := make(chan struct{}, atOnce)
	go func() {
		for range count {
			turns <- struct{}{}
			go func() {
				name, err := ask(address)
				if err != nil {
					name = short(err)
				}
				<-turns
				answers <- name
			}()
		}
	}()
	counts := map[string]int{}
	for range count {
		counts[<-answers]++
	}
	if err := json.NewEncoder(os.Stdout).Encode(counts); err != nil {
		panic(err)
	}
}

func short(err error) string {
	var timeout net.Error
	switch {
	// QUIC keeps the text of what sendmsg said, and no more.
	case errors.Is(err, syscall.ECONNREFUSED), strings.HasSuffix(err.Error(), "sendmsg: connection refused"):
		return "ECONNREFUSED"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return err.Error()
	}
}

func serverTLS() *tls.Config {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	own := tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: private}
	return &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{alpn}}
}
