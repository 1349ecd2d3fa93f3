package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// runInformer follows the ConfigMaps of its namespace until it is interrupted.
func runInformer(ctx context.Context, c *client, _ []string) error {
	factory := informers.NewSharedInformerFactoryWithOptions(c.set, 2*time.Second, informers.WithNamespace(c.namespace))
	maps := factory.Core().V1().ConfigMaps().Informer()
	if err := maps.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		say(map[string]any{"event": "error", "message": err.Error()})
	}); err != nil {
		return err
	}
	_, err := maps.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			say(map[string]any{"event": "add", "name": object.(*corev1.ConfigMap).Name, "initial": initial})
		},
		UpdateFunc: func(before, after any) {
			was, is := before.(*corev1.ConfigMap), after.(*corev1.ConfigMap)
			event := "update"
			if was.ResourceVersion == is.ResourceVersion {
				event = "resync"
			}
			say(map[string]any{"event": event, "name": is.Name, "data": is.Data})
		},
		DeleteFunc: func(object any) {
			if one, ok := object.(*corev1.ConfigMap); ok {
				say(map[string]any{"event": "delete", "name": one.Name})
			}
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), maps.HasSynced) {
		return ctx.Err()
	}
	say(map[string]any{"event": "synced", "count": len(maps.GetStore().List())})
	<-ctx.Done()
	factory.Shutdown()
	return nil
}
