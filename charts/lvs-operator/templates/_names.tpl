{{/* Labels of every object of the release; selectors use the component label alone, never the version. */}}
{{- define "lvs-operator.labels" -}}
app.kubernetes.io/name: lvs-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lvs-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "lvs-operator.selector" -}}
app.kubernetes.io/name: lvs-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Image reference: call with (dict "root" . "image" .Values.images.X). */}}
{{- define "lvs-operator.image" -}}
{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end -}}

{{/*
Pod template of an agent, the same for both roles but for the names: call with
(dict "root" . "component" "director-agent" "role" .Values.agent.director).
The operator schedules it; see operator/src/agents.rs.
*/}}
{{- define "lvs-operator.agentTemplate" -}}
{{- /* Real servers run no VRRP. */}}
{{- $isDirector := eq .component "director-agent" }}
{{- $hasHooks := and $isDirector .root.Values.agent.hooks.enabled }}
{{- $hasWatchdog := and $isDirector .root.Values.agent.watchdog.enabled }}
{{- $hasProcesses := and $isDirector .root.Values.agent.processes.enabled }}
{{- $realtimePriority := ternary .root.Values.agent.vrrp.realtimePriority 0 $isDirector }}
metadata:
  labels:
    app.kubernetes.io/name: lvs-operator
    app.kubernetes.io/instance: {{ .root.Release.Name }}
    app.kubernetes.io/component: {{ .component }}
    app.kubernetes.io/part-of: lvs-operator
  {{- with .role.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: lvs-{{ .component }}
  # VRRP, IPVS and addresses are the host's.
  hostNetwork: true
  dnsPolicy: Default
  priorityClassName: system-node-critical
  # Longer than a hand-over takes: the Active Router waits for its successor.
  terminationGracePeriodSeconds: 30
  tolerations:
    - operator: Exists
  {{- with .root.Values.images.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsUser: 0
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: node-agent
      image: {{ include "lvs-operator.image" (dict "root" .root "image" .root.Values.images.nodeAgent) }}
      imagePullPolicy: {{ .root.Values.images.pullPolicy }}
      args:
        - --state-dir=/state
        - --proc-sys-net=/host/proc/sys/net
        - --admin-address=127.0.0.1:{{ .root.Values.agent.adminPort }}
        - --statistics-level={{ .root.Values.agent.statistics.level }}
        - --statistics-maximum-series={{ int64 .root.Values.agent.statistics.maximumSeries }}
        - --vrrp-realtime-priority={{ int64 $realtimePriority }}
      {{- if $isDirector }}
        - --hooks-dir={{ .root.Values.agent.hooks.directory }}
        - --processes-dir=/host/processes
      {{- end }}
      {{- if $hasHooks }}
        - --hooks-root=/host/root
      {{- end }}
      env:
        - name: NODE_NAME
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        - name: POD_NAMESPACE
          valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: RUST_LOG
          value: {{ .root.Values.agent.logFilter | quote }}
      securityContext:
        readOnlyRootFilesystem: true
        {{- if $hasWatchdog }}
        # No other container may open a device of the node.
        privileged: true
        {{- else }}
        allowPrivilegeEscalation: false
        capabilities:
          drop: [ALL]
          add:
            - NET_ADMIN
            - NET_RAW
          {{- if $realtimePriority }}
            - SYS_NICE
            - IPC_LOCK
          {{- end }}
          {{- if $hasHooks }}
            - SYS_CHROOT
          {{- end }}
        {{- end }}
      livenessProbe:
        httpGet: {host: 127.0.0.1, port: {{ .root.Values.agent.adminPort }}, path: /healthz}
        periodSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet: {host: 127.0.0.1, port: {{ .root.Values.agent.adminPort }}, path: /readyz}
        periodSeconds: 5
      resources:
        {{- toYaml .role.resources | nindent 8 }}
      volumeMounts:
        - {name: state, mountPath: /state}
        - {name: proc-sys-net, mountPath: /host/proc/sys/net}
        {{- if $hasWatchdog }}
        - {name: dev, mountPath: /dev}
        {{- end }}
        {{- if $hasProcesses }}
        - {name: processes, mountPath: /host/processes, readOnly: true}
        {{- end }}
        {{- if $hasHooks }}
        - {name: root, mountPath: /host/root, readOnly: true}
        {{- end }}
  volumes:
    - name: state
      hostPath: {path: {{ .root.Values.agent.stateDirectory }}, type: DirectoryOrCreate}
    # The container's own /proc/sys is read-only; this is the part that the agent writes.
    - name: proc-sys-net
      hostPath: {path: /proc/sys/net, type: Directory}
    {{- if $hasWatchdog }}
    # The device may be made after the pod.
    - name: dev
      hostPath: {path: /dev, type: Directory}
    {{- end }}
    {{- if $hasProcesses }}
    # A procfs shows the processes of the PID namespace that it was mounted in, so the pod stays in its own.
    - name: processes
      hostPath: {path: /proc, type: Directory}
    {{- end }}
    {{- if $hasHooks }}
    # Hooks are the node's own programs and need its libraries and shell.
    - name: root
      hostPath: {path: /, type: Directory}
    {{- end }}
{{- end -}}
