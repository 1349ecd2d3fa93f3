{{- /* One release in a cluster: the guard and the kinds are the cluster's, so names do not depend on the release's. */ -}}

{{- define "sallyport.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sallyport
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "sallyport.image" -}}
{{- with .Values.image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- /* Names of the certificate: the Service's, and those by which agents come in. */ -}}
{{- define "sallyport.dnsNames" -}}
{{- $names := list "sallyport" (printf "sallyport.%s" .Release.Namespace) (printf "sallyport.%s.svc" .Release.Namespace) -}}
{{- $names = concat $names .Values.certificates.dnsNames -}}
{{- if and .Values.ingress.enabled .Values.ingress.host }}{{ $names = append $names .Values.ingress.host }}{{ end -}}
{{- if .Values.tlsRoute.enabled }}{{ $names = concat $names .Values.tlsRoute.hostnames }}{{ end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{- /* The configuration that the gateway and the controller read: the value, and over it what the chart knows. */ -}}
{{- define "sallyport.config" -}}
{{- $tls := dict "secretName" .Values.certificates.secretName -}}
{{- $own := dict
  "listen" (dict "port" 8443 "tls" $tls)
  "probes" (dict "port" 9443)
  "upstream" (dict "namespace" .Release.Namespace)
  "controller" (dict "enabled" false)
  "masking" (dict "literalWrites" (dict "replicas" (int .Values.gateway.replicas)))
-}}
{{- if .Values.admission.enabled -}}
{{- $webhook := dict
  "service" (dict "name" "sallyport-webhook" "port" 443)
  "timeoutSeconds" (int .Values.admission.timeoutSeconds)
  "ownerClusterRole" "sallyport-controller"
-}}
{{- $_ := set $own "admission" (dict "port" 10250 "tls" $tls "webhook" $webhook) -}}
{{- end -}}
{{- if eq .Values.certificates.source "Controller" -}}
{{- $_ := set $own "certificates" (dict
  "secretName" .Values.certificates.secretName
  "dnsNames" (include "sallyport.dnsNames" . | fromJsonArray)
  "ipAddresses" .Values.certificates.ipAddresses
  "lifetime" .Values.certificates.lifetime
) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{- define "sallyport.agentGroups" -}}
{{- $groups := list -}}
{{- range ((.Values.config.identity).sessions).agents }}{{ $groups = concat $groups (.groups | default list) }}{{ end -}}
{{- $groups | uniq | toJson -}}
{{- end -}}

{{- /* Every group that the gateway may assert, as the API server sees it. */ -}}
{{- define "sallyport.upstreamGroups" -}}
{{- $groups := concat .Values.impersonation.groups (include "sallyport.agentGroups" . | fromJsonArray) -}}
{{- if hasKey (.Values.config.identity | default dict) "tokenReview" -}}
{{- $groups = concat $groups (list "system:authenticated" "system:serviceaccounts") -}}
{{- range .Values.impersonation.serviceAccountNamespaces }}{{ $groups = append $groups (printf "system:serviceaccounts:%s" .) }}{{ end -}}
{{- end -}}
{{- $names := list -}}
{{- range $groups | uniq }}{{ $names = append $names (printf "sallyport:%s" .) }}{{ end -}}
{{- $names | toJson -}}
{{- end -}}

{{- /* "true" where the gateway's account gets the verbs of constrained impersonation in place of `impersonate`. */ -}}
{{- define "sallyport.constrained" -}}
{{- $mode := .Values.impersonation.mode -}}
{{- if or (eq $mode "Constrained") (and (eq $mode "Auto") (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version)) -}}true{{- end -}}
{{- end -}}

{{- define "sallyport.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sallyport.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* What all Pods of the release share. */ -}}
{{- define "sallyport.podSpec" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "sallyport.podSecurityContext" . | nindent 2 }}
{{- end -}}

{{- define "sallyport.podLabels" -}}
{{ include "sallyport.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sallyport.spread" -}}
{{- with .root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | nindent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "sallyport.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "sallyport.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: probes}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: probes}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: probes}
  periodSeconds: 2
  failureThreshold: 2
{{- end -}}

{{- define "sallyport.fileMounts" -}}
- name: config
  mountPath: /etc/sallyport
  readOnly: true
{{- range .Values.secrets }}
- name: secret-{{ .name }}
  mountPath: /etc/sallyport/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- range .Values.configMaps }}
- name: config-map-{{ .name }}
  mountPath: /etc/sallyport/config-maps/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "sallyport.fileVolumes" -}}
- name: config
  configMap:
    name: sallyport
{{- range .Values.secrets }}
- name: secret-{{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- range .Values.configMaps }}
- name: config-map-{{ .name }}
  configMap:
    name: {{ .configMapName }}
{{- end }}
{{- end -}}
