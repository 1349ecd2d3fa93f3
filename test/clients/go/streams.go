package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"

	"k8s.io/apimachinery/pkg/util/httpstream"
)

func (c *client) url(pod, subresource string, options *corev1.PodExecOptions) *url.URL {
	request := c.set.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(c.namespace).Name(pod).SubResource(subresource)
	if options != nil {
		request.VersionedParams(options, scheme.ParameterCodec)
	}
	return request.URL()
}

// runExec runs `cat; echo end >&2; exit 3` many times and tells how often all of it came out right.
func runExec(ctx context.Context, c *client, args []string) error {
	flags := flag.NewFlagSet("exec", flag.ExitOnError)
	transport := flags.String("transport", "websocket", "websocket or spdy")
	pod := flags.String("pod", "web", "name")
	count := flags.Int("count", 1, "how often")
	parallel := flags.Int("parallel", 1, "at once")
	length := flags.Int("bytes", 1000, "of stdin")
	if err := flags.Parse(args); err != nil {
		return err
	}
	options := &corev1.PodExecOptions{
		Command: []string{"sh", "-c", "cat; echo end >&2; exit 3"}, Stdin: true, Stdout: true, Stderr: true,
	}
	target := c.url(*pod, "exec", options)
	once := func() error {
		executor, err := c.executor(*transport, target)
		if err != nil {
			return err
		}
		sent := make([]byte, *length)
		rand.Read(sent)
		var stdout, stderr bytes.Buffer
		err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{
			Stdin: bytes.NewReader(sent), Stdout: &stdout, Stderr: &stderr,
		})
		var code exec.CodeExitError
		if !errors.As(err, &code) || code.Code != 3 {
			return fmt.Errorf("not exit code 3: %w", err)
		}
		if !bytes.Equal(sent, stdout.Bytes()) || stderr.String() != "end\n" {
			return fmt.Errorf("%d of %d bytes, stderr %q", stdout.Len(), len(sent), stderr.String())
		}
		return nil
	}
	return many(*count, *parallel, once)
}

func (c *client) executor(transport string, target *url.URL) (remotecommand.Executor, error) {
	if transport == "spdy" {
		return remotecommand.NewSPDYExecutor(c.config, http.MethodPost, target)
	}
	return remotecommand.NewWebSocketExecutor(c.config, http.MethodGet, target.String())
}

func (c *client) dialer(transport, pod string) (httpstream.Dialer, error) {
	target := c.url(pod, "portforward", nil)
	if transport == "spdy" {
		roundTripper, upgrader, err := spdy.RoundTripperFor(c.config)
		if err != nil {
			return nil, err
		}
		return spdy.NewDialer(upgrader, &http.Client{Transport: roundTripper}, http.MethodPost, target), nil
	}
	return portforward.NewSPDYOverWebsocketDialer(target, c.config)
}

// runForward opens port-forwards to an echo, one after the other, each with some connections.
func runForward(ctx context.Context, c *client, args []string) error {
	flags := flag.NewFlagSet("forward", flag.ExitOnError)
	transport := flags.String("transport", "websocket", "websocket or spdy")
	pod := flags.String("pod", "web", "name")
	port := flags.Int("port", 7, "of the echo")
	count := flags.Int("count", 1, "how often")
	parallel := flags.Int("parallel", 1, "at once")
	connections := flags.Int("connections", 2, "through each")
	length := flags.Int("bytes", 1000, "through each connection")
	if err := flags.Parse(args); err != nil {
		return err
	}
	once := func() error {
		dialer, err := c.dialer(*transport, *pod)
		if err != nil {
			return err
		}
		stop, ready := make(chan struct{}), make(chan struct{})
		var complaints bytes.Buffer
		forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"},
			[]string{fmt.Sprintf("0:%d", *port)}, stop, ready, io.Discard, &complaints)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- forwarder.ForwardPorts() }()
		select {
		case err := <-ended:
			return fmt.Errorf("never ready: %w", err)
		case <-ready:
		}
		ports, err := forwarder.GetPorts()
		if err != nil {
			return err
		}
		err = many(*connections, *connections, func() error { return echo(int(ports[0].Local), *length) })
		close(stop)
		if finished := <-ended; err == nil {
			err = finished
		}
		return err
	}
	return many(*count, *parallel, once)
}

func echo(port, length int) error {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(30 * time.Second))
	sent := make([]byte, length)
	rand.Read(sent)
	go connection.Write(sent)
	got := make([]byte, length)
	if read, err := io.ReadFull(connection, got); err != nil {
		return fmt.Errorf("%d of %d bytes came back: %w", read, length, err)
	}
	// Not sooner: containerd gives what is left half a second once one side has ended, without a gateway as well.
	connection.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(connection); err != nil || len(rest) > 0 {
		return fmt.Errorf("%d bytes more than were sent: %w", len(rest), err)
	}
	if md5.Sum(got) != md5.Sum(sent) {
		return errors.New("other bytes came back")
	}
	return nil
}

// runPorts opens streams to several ports over one connection itself, and tells of each what its error stream says.
func runPorts(_ context.Context, c *client, args []string) error {
	dialer, err := c.dialer(args[0], args[1])
	if err != nil {
		return err
	}
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return err
	}
	defer connection.Close()
	for index, port := range args[2:] {
		said, answer := ask(connection, port, index)
		say(map[string]any{"port": port, "error": said, "answer": answer})
	}
	return nil
}

func ask(connection httpstream.Connection, port string, id int) (string, string) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, port)
	headers.Set(corev1.PortForwardRequestIDHeader, fmt.Sprint(id))
	errors, err := connection.CreateStream(headers)
	if err != nil {
		return err.Error(), ""
	}
	errors.Close()
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return err.Error(), ""
	}
	io.WriteString(data, "GET /index.html HTTP/1.0\r\n\r\n")
	answer, _ := io.ReadAll(data)
	said, _ := io.ReadAll(errors)
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return string(said), body
}

// many runs once count times, parallel at once, and fails with the first failure.
func many(count, parallel int, once func() error) error {
	var group sync.WaitGroup
	failures := make(chan error, count)
	slots := make(chan struct{}, parallel)
	for range count {
		slots <- struct{}{}
		group.Add(1)
		go func() {
			defer group.Done()
			if err := once(); err != nil {
				failures <- err
			}
			<-slots
		}()
	}
	group.Wait()
	close(failures)
	failed := 0
	var first error
	for err := range failures {
		failed++
		if first == nil {
			first = err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed, the first: %w", failed, count, first)
	}
	return nil
}
