package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// speaking is the same client in another content type.
func (c *client) speaking(contentType string) (kubernetes.Interface, error) {
	config := rest.CopyConfig(c.config)
	config.ContentType = contentType
	// As Kubernetes' own components have it: what is masked comes in JSON.
	config.AcceptContentTypes = contentType + ",application/json"
	return kubernetes.NewForConfig(config)
}

// runChange reads a ConfigMap and writes it back with another value, in the content type that it is given.
func runChange(ctx context.Context, c *client, args []string) error {
	set, err := c.speaking(args[0])
	if err != nil {
		return err
	}
	maps := set.CoreV1().ConfigMaps(c.namespace)
	object, err := maps.Get(ctx, args[1], metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	object.Data = map[string]string{"a": args[2]}
	if _, err := maps.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	return nil
}

// runRemove deletes a ConfigMap, with options in the content type that it is given.
func runRemove(ctx context.Context, c *client, args []string) error {
	set, err := c.speaking(args[0])
	if err != nil {
		return err
	}
	policy := metav1.DeletePropagationBackground
	return set.CoreV1().ConfigMaps(c.namespace).Delete(ctx, args[1], metav1.DeleteOptions{PropagationPolicy: &policy})
}

// runTypes makes, reads, lists, watches and removes a ConfigMap in the content type that it is given.
func runTypes(ctx context.Context, c *client, args []string) error {
	name := args[1]
	set, err := c.speaking(args[0])
	if err != nil {
		return err
	}
	maps := set.CoreV1().ConfigMaps(c.namespace)
	watch, err := maps.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer watch.Stop()
	made, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Data:       map[string]string{"text": "ünï", "empty": ""},
		BinaryData: map[string][]byte{"bytes": {0, 1, 254, 255}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	event := <-watch.ResultChan()
	seen, ok := event.Object.(*corev1.ConfigMap)
	if !ok {
		return fmt.Errorf("watch: %v %T", event.Type, event.Object)
	}
	read, err := maps.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	all, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	made.Data["text"] = "two"
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if err := maps.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	say(map[string]any{
		"watched": seen.Data["text"], "event": event.Type, "read": read.Data["text"],
		"bytes": read.BinaryData["bytes"], "listed": len(all.Items),
	})
	return nil
}

// runDeploy makes a Deployment of an image, in a content type.
func runDeploy(ctx context.Context, c *client, args []string) error {
	config := rest.CopyConfig(c.config)
	config.ContentType = args[1]
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	labels := map[string]string{"app": "deployed"}
	none := int32(0)
	_, err = set.AppsV1().Deployments(c.namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "deployed"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: args[0]}}},
			},
		},
	}, metav1.CreateOptions{})
	return err
}

// runWriteBack reads a ConfigMap, adds a key and writes it back in a content type, once more where that type is not taken: client-go
// then knows to send JSON.
func runWriteBack(ctx context.Context, c *client, args []string) error {
	config := rest.CopyConfig(c.config)
	config.ContentType = args[0]
	config.AcceptContentTypes = args[0] + ",application/json"
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := set.CoreV1().ConfigMaps(c.namespace)
	object, err := maps.Get(ctx, args[1], metav1.GetOptions{})
	if err != nil {
		return err
	}
	object.Data["added"] = args[0]
	tries := 1
	_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsUnsupportedMediaType(err) {
		tries++
		_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	say(map[string]any{"tries": tries, "read": object.Data["app.env"]})
	return nil
}
