// Reads audit.k8s.io/v1 Events from standard input, one a line, as strictly as Kubernetes' own types are read: a field that they
// do not have, or of another type, is an error. Writes each as those types write it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for number := 1; lines.Scan(); number++ {
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var event auditv1.Event
		if err := decoder.Decode(&event); err != nil {
			fmt.Fprintf(os.Stderr, "line %d: %v\n", number, err)
			os.Exit(1)
		}
		if event.Kind != "Event" || event.APIVersion != "audit.k8s.io/v1" || event.AuditID == "" || event.Stage == "" || event.Level == "" {
			fmt.Fprintf(os.Stderr, "line %d: not a whole Event\n", number)
			os.Exit(1)
		}
		if err := out.Encode(&event); err != nil {
			panic(err)
		}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}
