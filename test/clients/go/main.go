// Command go-client is a client-go program with nothing special to the gateway: tests run it and read its lines.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type client struct {
	config    *rest.Config
	set       kubernetes.Interface
	namespace string
}

var commands = map[string]func(context.Context, *client, []string) error{
	"informer":  runInformer,
	"types":     runTypes,
	"change":    runChange,
	"remove":    runRemove,
	"deploy":    runDeploy,
	"writeback": runWriteBack,
	"exec":      runExec,
	"forward":   runForward,
	"ports":     runPorts,
}

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *kubeconfig, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig string, args []string) error {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 1000, 1000
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("one of informer, types, change, remove, deploy, writeback, exec, forward, ports")
	}
	return commands[args[0]](ctx, &client{config, set, namespace}, args[1:])
}

// say prints one JSON line.
func say(fields map[string]any) {
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
