// Receives syslog over TLS (RFC 5425) by a parser that is generated from the grammar of RFC 5424, and writes what it received as
// lines of JSON. What is not by the grammar is a line with an error, and ends its connection.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

type received struct {
	Error          string                        `json:"error,omitempty"`
	Facility       *uint8                        `json:"facility,omitempty"`
	Severity       *uint8                        `json:"severity,omitempty"`
	Timestamp      *time.Time                    `json:"timestamp,omitempty"`
	Hostname       *string                       `json:"hostname,omitempty"`
	Appname        *string                       `json:"appname,omitempty"`
	ProcID         *string                       `json:"procID,omitempty"`
	MsgID          *string                       `json:"msgID,omitempty"`
	StructuredData *map[string]map[string]string `json:"structuredData,omitempty"`
	Message        *string                       `json:"message,omitempty"`
}

func main() {
	log.SetFlags(0)
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	certificate := flag.String("cert", "", "certificate, PEM")
	key := flag.String("key", "", "its key, PEM")
	clientCA := flag.String("client-ca", "", "authority of clients, PEM; without it they need no certificate")
	flag.Parse()

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if *clientCA != "" {
		pem, err := os.ReadFile(*clientCA)
		if err != nil {
			log.Fatal(err)
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(pem)
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	listener, err := tls.Listen("tcp", *address, config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	var writing sync.Mutex
	out := json.NewEncoder(os.Stdout)
	write := func(message received) {
		writing.Lock()
		defer writing.Unlock()
		if err := out.Encode(message); err != nil {
			log.Fatal(err)
		}
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go receive(connection.(*tls.Conn), write)
	}
}

func receive(connection *tls.Conn, write func(received)) {
	defer connection.Close()
	if connection.Handshake() != nil {
		return
	}
	octetcounting.NewParser(
		syslog.WithMaxMessageLength(4<<20),
		syslog.WithMachineOptions(rfc5424.WithCompliantMsg()),
		syslog.WithListener(func(result *syslog.Result) {
			if result.Error != nil {
				write(received{Error: result.Error.Error()})
				return
			}
			m := result.Message.(*rfc5424.SyslogMessage)
			write(received{
				Facility: m.Facility, Severity: m.Severity, Timestamp: m.Timestamp, Hostname: m.Hostname, Appname: m.Appname,
				ProcID: m.ProcID, MsgID: m.MsgID, StructuredData: m.StructuredData, Message: m.Message,
			})
		}),
	).Parse(connection)
}
