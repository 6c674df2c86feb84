#!/usr/bin/env bash
# kubectl against a cluster of the sandbox: reading, writing, applying real manifests, waiting,
# rolling out, draining, deleting, and wrong input of every class. Ends at the first surprise.
#
#   KUBECONFIG           a kubeconfig that leads to the sandbox
#   KPLAN_TEST_UPSTREAM  folder with the manifests of Argo CD, Velero and the others
#
# Needs kubectl 1.32 or newer. Run it against the sandbox only: it makes and destroys objects.
set -euo pipefail

: "${KUBECONFIG:?a kubeconfig of the sandbox}" "${KPLAN_TEST_UPSTREAM:?folder of real manifests}"
loopback='^https?://(127\.0\.0\.1|localhost)(:|/|$)'
settings="$(kubectl config view --raw --minify -o 'jsonpath={.clusters[0].cluster.server} {.clusters[0].cluster.proxy-url}')"
read -r server proxy <<<"$settings"
if ! [[ "$server" =~ $loopback || "${proxy:-}" =~ $loopback ]]; then
  echo "refused: $server is not a cluster of the sandbox" >&2
  exit 2
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# kubectl reads a person's own settings and keeps a cache otherwise.
kubectl config view --raw --minify >"$work/config"
export KUBECONFIG="$work/config" HOME="$work" KUBECACHEDIR="$work/cache"
unset KUBECTL_EXTERNAL_DIFF KUBE_EDITOR EDITOR
cd "$work"

out=""
steps=0

fail() {
  printf 'FAILED after %s steps: %s\n%s\n' "$steps" "$1" "$out" >&2
  exit 1
}

# `ok <words of kubectl>`: it succeeds; `$out` is everything it printed.
ok() {
  steps=$((steps + 1))
  printf '+ kubectl %s\n' "$*"
  out="$(timeout 60 kubectl "$@" 2>&1)" || fail "kubectl $*"
}

# `bad <part of the error> <words of kubectl>`: it fails and says so.
bad() {
  local says="$1"
  shift
  steps=$((steps + 1))
  printf -- '- kubectl %s\n' "$*"
  if out="$(timeout 60 kubectl "$@" 2>&1)"; then
    fail "kubectl $* should have failed with: $says"
  fi
  says "$says"
}

# `says <text>…`: every text stands in `$out`.
says() {
  local text
  for text in "$@"; do
    case "$out" in
      *"$text"*) ;;
      *) fail "it should have said: $text" ;;
    esac
  done
}

# `is <text>`: `$out` is exactly that.
is() { [ "$out" = "$1" ] || fail "it should have said exactly: $1"; }

part() { printf '\n== %s\n' "$1"; }

discovery() {
  part "discovery, explain, access"
  ok version
  says "Server Version: v1."
  ok api-versions
  says apps/v1 batch/v1 rbac.authorization.k8s.io/v1 apiextensions.k8s.io/v1
  ok api-resources
  says "crd,crds" customresourcedefinitions HorizontalPodAutoscaler
  ok api-resources --api-group=apps -o name
  is $'controllerrevisions.apps\ndaemonsets.apps\ndeployments.apps\nreplicasets.apps\nstatefulsets.apps'
  ok api-resources --categories=all -o name
  says pods cronjobs.batch
  ok explain deployment
  says "GROUP:      apps" "<DeploymentSpec>"
  ok explain deployment.spec.template.spec.containers.ports
  says "FIELD: ports <[]ContainerPort>" containerPort
  ok explain cronjob --recursive
  says "concurrencyPolicy"
  bad 'field "nonsense" does not exist' explain pod.spec.nonsense
  bad "doesn't have a resource type" explain nonsense
  ok cluster-info
  says "Kubernetes control plane"
  ok get --raw /healthz
  is ok
  ok get --raw "/readyz?verbose"
  says "[+]etcd ok"
  bad "(NotFound)" get --raw /nonsense
  ok auth whoami
  says system:masters
  ok auth can-i delete nodes
  says yes
  ok auth can-i --list
  says "*.*"
  bad no auth can-i delete pods --as=ann
  is no
  bad 'User "ann" cannot list resource "pods"' get pods --as=ann
}

the_node() {
  part "the node"
  ok wait --for=condition=Ready node --all --timeout=60s
  ok get nodes -o name
  node="${out#node/}"
  ok get nodes -o wide
  says "$node" Ready control-plane containerd
  ok describe node "$node"
  says "KubeletReady" "Non-terminated Pods" "Allocatable:"
  ok label node "$node" tier=front
  ok get nodes -l tier=front -o name
  is "node/$node"
  ok annotate node "$node" note=here
  ok taint node "$node" a=b:NoSchedule
  bad "already has a taint" taint node "$node" a=b:NoSchedule
  ok taint node "$node" a-
  ok cordon "$node"
  ok get node "$node"
  says SchedulingDisabled
  ok uncordon "$node"
  bad "Metrics API not available" top nodes
}

creating() {
  part "create, in the form typed clients send"
  ok create namespace shop
  ok config set-context --current --namespace=shop
  ok create deployment web --image=nginx:1.27 --replicas=2
  ok rollout status deploy/web --timeout=60s
  ok create job once --image=busybox -- date
  ok create cronjob often --image=busybox --schedule='*/5 * * * *' -- date
  ok create configmap settings --from-literal=a=b --from-literal=c=d
  ok create secret generic key --from-literal=a=b
  ok create secret docker-registry pull --docker-server=r --docker-username=u --docker-password=p
  ok create serviceaccount robot
  ok create role reader --verb=get,list --resource=pods
  ok create rolebinding readers --role=reader --user=ann
  ok auth can-i list pods --as=ann
  is yes
  ok create clusterrole judged --verb=get --resource=nodes
  ok create clusterrolebinding judged --clusterrole=judged --group=team
  ok auth can-i get nodes --as=bob --as-group=team
  ok create quota limits --hard=pods=50
  ok create ingress door --rule='a.example.com/=web:80'
  ok create poddisruptionbudget keep --selector=app=web --min-available=2
  ok create priorityclass judged --value=10
  ok create service nodeport np --tcp=80
  ok expose deployment web --port=80
  ok run alone --image=nginx:1.27 --labels=run=alone
  ok get deploy,job,cronjob,cm,secret,sa,role,rolebinding,quota,ing,pdb,svc
  says deployment.apps/web cronjob.batch/often ingress.networking.k8s.io/door
  ok get secret key -o 'jsonpath={.data.a}'
  is Yg==
  ok wait --for=condition=Complete job/once --timeout=60s
  ok create deployment dry --image=i:1 --dry-run=server
  says "created (server dry run)"
  ok create deployment dry --image=i:1 --dry-run=client -o yaml
  says "kind: Deployment"
  bad NotFound get deployment dry
  bad "signs no service account tokens" create token robot
}

reading() {
  part "get, describe, watch"
  ok get deploy web
  says "2/2"
  ok get deploy web -o wide
  says "nginx:1.27" "app=web"
  ok get pods -l app=web -o name
  says pod/web-
  ok get pods -l 'app in (web),!nothing' -o custom-columns=N:.metadata.name,P:.status.phase
  says Running
  ok get pods --field-selector=status.phase=Running -o name
  says pod/alone
  ok get pods -A --sort-by=.metadata.name
  says kube-system
  ok get cm --chunk-size=1 -o name
  says configmap/settings configmap/kube-root-ca.crt
  ok get deploy web -o json
  says '"replicas": 2'
  ok get deploy web -o yaml --show-managed-fields
  says "manager: kubectl-create"
  ok get deploy web -o 'jsonpath={.spec.template.spec.containers[0].image}'
  is nginx:1.27
  ok get all
  says pod/alone replicaset.apps/web-
  ok get cronjob often
  says "*/5 * * * *" False
  ok get ing door
  says a.example.com
  ok get pdb keep
  says "N/A"
  ok get rolebindings -o wide
  says ann
  ok get --raw '/api/v1/namespaces/shop/pods?limit=1'
  says remainingItemCount
  local kind
  for kind in pod/alone deploy/web svc/web job/once cronjob/often cm/settings secret/key sa/robot \
    role/reader rolebinding/readers ing/door pdb/keep ns/shop; do
    ok describe "$kind"
    says "Name:"
  done
  ok describe deploy web
  says "2 desired" MinimumReplicasAvailable "NewReplicaSet:"
  ok describe pod alone
  says "Node:         $node/" "QoS Class:"
  ok events
  says "No events found"
  bad "pods of the sandbox run no containers" logs alone
  bad "pods of the sandbox run no containers" exec alone -- date
  bad "not found" logs nobody
  steps=$((steps + 1))
  (sleep 0.5; kubectl label pod alone seen=yes >/dev/null) &
  out="$(timeout 2 kubectl get pod alone --watch -L seen 2>&1)" || true
  wait
  says yes
  # The first line is the list, the second what was seen to happen.
  [ "$(grep -c '^alone' <<<"$out")" -ge 2 ] || fail "the watch saw no change"
}

changing() {
  part "patch, edit, label, scale, set, rollout"
  ok patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","env":[{"name":"A","value":"1"}]}]}}}}'
  ok get deploy web -o 'jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env[0].name}'
  is "nginx:1.27 A"
  ok patch cm settings --type=merge -p '{"data":{"c":null}}'
  ok patch cm settings --type=json -p '[{"op":"add","path":"/data/e","value":"f"}]'
  ok get cm settings -o 'jsonpath={.data}'
  is '{"a":"b","e":"f"}'
  bad "the server rejected our request" patch cm settings --type=json -p '[{"op":"test","path":"/data/e","value":"x"}]'
  ok patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":3}}'
  ok patch deploy web --subresource=status --type=merge -p '{"status":{"observedGeneration":1}}'
  export KUBE_EDITOR="sed -i /^data:/,/^kind:/s/b/edited/"
  ok edit cm settings
  unset KUBE_EDITOR
  ok get cm settings -o 'jsonpath={.data.a}'
  says edited
  ok scale deploy/web --replicas=2
  bad "Expected replicas to be 9" scale deploy/web --replicas=1 --current-replicas=9
  ok rollout status deploy/web --timeout=60s
  ok annotate deploy/web kubernetes.io/change-cause=second
  ok set image deploy/web nginx=nginx:1.28
  ok rollout status deploy/web --timeout=60s
  ok rollout history deploy/web
  says $'1         <none>' "second"
  ok rollout undo deploy/web --to-revision=1
  ok rollout status deploy/web --timeout=60s
  ok rollout history deploy/web
  case "$out" in *$'\n1 '*) fail "revision 1 came back under a new number" ;; esac
  ok get deploy web -o 'jsonpath={.spec.template.spec.containers[0].env}'
  is ""
  ok rollout restart deploy/web
  ok rollout status deploy/web --timeout=60s
  ok rollout pause deploy/web
  ok set env deploy/web B=2
  bad "timed out" rollout status deploy/web --timeout=1s
  ok rollout resume deploy/web
  ok rollout status deploy/web --timeout=60s
  ok set resources deploy/web --limits=cpu=100m,memory=64Mi
  ok set serviceaccount deploy/web robot
  ok rollout status deploy/web --timeout=60s
}

applying() {
  part "apply on either side, diff, kustomize"
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {a: "1", b: "2"}\n' >one.yaml
  sed 's/a: "1"/a: "9"/' one.yaml >two.yaml
  ok apply --server-side --field-manager=one -f one.yaml
  bad 'conflict with "one": .data.a' apply --server-side --field-manager=two -f two.yaml
  ok apply --server-side --field-manager=two --force-conflicts -f two.yaml
  ok get cm shared -o yaml --show-managed-fields
  says "manager: one" "manager: two"
  ok apply --server-side --field-manager=two -f two.yaml
  ok diff --server-side --field-manager=two -f two.yaml
  is ""
  ok delete -f one.yaml
  ok apply -f one.yaml
  says created
  ok apply -f one.yaml
  says unchanged
  ok diff -f one.yaml
  is ""
  steps=$((steps + 1))
  out="$(kubectl diff -f two.yaml)" && fail "a difference should end with 1"
  says '-  a: "1"' '+  a: "9"'
  ok apply --dry-run=server -f two.yaml
  says "server dry run"
  ok apply -f two.yaml
  says configured
  # What the client applied becomes what the server applies: fields change hands without conflict.
  ok apply --server-side -f one.yaml
  ok get cm shared -o yaml --show-managed-fields
  case "$out" in *"manager: kubectl-client-side-apply"*) fail "fields were not handed over" ;; esac
  mkdir overlay
  printf 'namePrefix: k-\nnamespace: shop\nresources: [cm.yaml]\nconfigMapGenerator: [{name: gen, literals: [a=b]}]\n' >overlay/kustomization.yaml
  sed 's/shared/base/' one.yaml >overlay/cm.yaml
  ok apply -k overlay
  says configmap/k-base configmap/k-gen-
  ok diff -k overlay
  is ""
  ok delete -k overlay
}

upstream() {
  part "real manifests"
  local up="$KPLAN_TEST_UPSTREAM" argo
  argo="$(echo "$up"/argo-cd/*/install.yaml)"
  ok create namespace argocd
  ok apply --server-side -n argocd -f "$argo"
  says applications.argoproj.io statefulset.apps/argocd-application-controller
  ok wait --for=condition=Established crd/applications.argoproj.io --timeout=30s
  ok wait -n argocd --for=condition=Available deploy --all --timeout=60s
  ok rollout status -n argocd sts/argocd-application-controller --timeout=60s
  ok rollout history -n argocd sts/argocd-application-controller
  says $'\n1 '
  ok diff --server-side -n argocd -f "$argo"
  is ""
  ok explain applications.argoproj.io.spec.source.helm
  says "KIND:       Application" valueFiles
  ok api-resources --api-group=argoproj.io
  says app,apps appset,appsets
  ok describe crd applications.argoproj.io
  says "Plural:" Established
  ok apply -f "$(echo "$up"/velero/*/)"
  says backups.velero.io
  ok apply -f "$(echo "$up"/csi-digitalocean/*/crds.yaml)"
  ok wait --for=condition=Established crd --all --timeout=30s
  ok apply -f "$(echo "$up"/csi-digitalocean/*/driver.yaml)" -f "$(echo "$up"/helm-controller/*/)"
  says volumesnapshotclass.snapshot.storage.k8s.io/do-block-storage
  ok get sc
  says "do-block-storage (default)"
  ok rollout status -n kube-system ds/csi-do-node --timeout=60s
  cat >app.yaml <<'APP'
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: default
  source: {repoURL: 'https://example.com/r.git', path: x, targetRevision: HEAD}
  destination: {server: 'https://kubernetes.default.svc', namespace: default}
  syncPolicy: {automated: {}}
APP
  ok apply -f app.yaml
  ok wait -n argocd --for=jsonpath='{.status.sync.status}'=Synced app/shop --timeout=30s
  ok get app -A
  says Synced
  ok describe app -n argocd shop
  says "Repo URL:" Healthy
  ok patch app -n argocd shop --type=merge -p '{"spec":{"source":{"path":"y"}}}'
  bad "strategic-merge-patch+json is not supported" patch app -n argocd shop --type=strategic -p '{}'
  printf 'apiVersion: velero.io/v1\nkind: Schedule\nmetadata: {name: daily, namespace: shop}\nspec: {schedule: "0 3 * * *", template: {}}\n' >daily.yaml
  ok apply --server-side -f daily.yaml
  ok get schedules.velero.io daily
  says "0 3 * * *"
}

wrong_input() {
  part "wrong input"
  bad 'metadata.name: Invalid value: "Bad_Name"' create configmap Bad_Name
  bad 'must not contain dots' create namespace a.b
  bad 'already exists' create configmap settings
  bad 'namespaces "nowhere" not found' create configmap x -n nowhere
  bad 'configmaps "nothing" not found' get cm nothing
  bad "doesn't have a resource type" get nothing
  bad "field label not supported: spec.nothing" get pods --field-selector=spec.nothing=1
  bad "unable to parse requirement" get pods -l 'a b'
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndataa: {a: b}\n' >unknown.yaml
  bad 'strict decoding error: unknown field "dataa"' apply -f unknown.yaml
  bad '.dataa: field not declared in schema' apply --server-side -f unknown.yaml
  ok apply --validate=warn -f unknown.yaml
  says 'Warning: unknown field "dataa"'
  kubectl create deployment wrong --image=i:1 --dry-run=client -o yaml | sed 's/replicas: 1/replicas: two/' >wrong.yaml
  bad "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" apply -f wrong.yaml
  bad ".spec.replicas: expected numeric (int or float), got string" apply --server-side -f wrong.yaml
  bad "spec.replicas: Invalid value: -1: must be greater than or equal to 0" patch deploy web -p '{"spec":{"replicas":-1}}'
  bad "field is immutable" patch deploy web -p '{"spec":{"selector":{"matchLabels":{"app":"y"}}}}'
  bad 'spec.template.spec.containers[0].image: Required value' patch deploy web --type=merge -p '{"spec":{"template":{"spec":{"containers":[{"name":"q"}]}}}}'
  bad 'data[tls.crt]: Required value' create secret generic x --type=kubernetes.io/tls --from-literal=a=b
  bad 'name part must consist of' label cm settings 'bad key=x'
  kubectl get cm settings -o json | sed 's/"resourceVersion": "[0-9]*"/"resourceVersion": "1"/' >stale.json
  bad "the object has been modified" replace -f stale.json
  bad "metadata.finalizers[0]" patch cm settings --type=merge -p '{"metadata":{"finalizers":["nodomain"]}}'
  sed 's/project: default/project: 7/; s/name: shop/name: other/' app.yaml >no.yaml
  bad 'spec.project: Invalid value: "integer"' apply -f no.yaml
  sed 's/  project: default/  nonsense: 7/; s/name: shop/name: other/' app.yaml >no.yaml
  bad 'unknown field "spec.nonsense"' apply -f no.yaml
  bad '.spec.nonsense: field not declared in schema' apply --server-side -f no.yaml
  bad 'spec.project: Required value' apply --validate=false -f no.yaml
  bad "this namespace may not be deleted" delete namespace kube-system
}

waiting_and_deleting() {
  part "wait, drain, delete"
  bad "timed out" wait --for=delete pod/alone --timeout=1s
  ok delete pod alone --wait=false
  ok wait --for=delete pod/alone --timeout=30s
  (sleep 0.5; kubectl create cm late --from-literal=a=b >/dev/null) &
  ok wait --for=create cm/late --timeout=30s
  wait
  ok get pdb keep
  bad "violate the pod's disruption budget" drain "$node" --ignore-daemonsets --delete-emptydir-data --force --pod-selector=app=web --timeout=1s
  ok delete pdb keep
  ok drain "$node" --ignore-daemonsets --delete-emptydir-data --force --pod-selector=app=web --timeout=60s
  says drained evicted
  ok uncordon "$node"
  ok rollout status deploy/web --timeout=60s
  ok create deployment own --image=i:1
  ok rollout status deploy/own --timeout=60s
  ok delete deploy own --cascade=orphan
  ok get rs -l app=own -o name
  says replicaset.apps/own-
  ok delete rs -l app=own --cascade=foreground --timeout=30s
  ok get pods -l app=own -o name
  is ""
  ok create deployment own --image=i:1
  ok rollout status deploy/own --timeout=60s
  ok delete deploy own --cascade=background
  ok wait --for=delete rs,pods -l app=own --timeout=30s
  ok patch cm late --type=merge -p '{"metadata":{"finalizers":["example.com/keep"]}}'
  bad "timed out" delete cm late --timeout=1s
  ok get cm late -o 'jsonpath={.metadata.finalizers}'
  is '["example.com/keep"]'
  ok patch cm late --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]'
  bad NotFound get cm late
  ok delete cm late --ignore-not-found
  ok delete deploy web --dry-run=server
  ok get deploy web -o name
  ok delete crd applications.argoproj.io --timeout=30s
  ok delete namespace shop --timeout=60s
  bad 'namespaces "shop" not found' get namespace shop
  ok delete clusterrole,clusterrolebinding,priorityclass judged
}

discovery
the_node
creating
reading
changing
applying
upstream
wrong_input
waiting_and_deleting
printf '\n%s steps, no surprise\n' "$steps"
