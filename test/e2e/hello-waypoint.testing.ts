/** A service `hello` at port 80, for apps of that label at port 8080, behind a waypoint. */
export const HELLO_MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: default, labels: { istio.io/waypoint-for: service } }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
---
apiVersion: v1
kind: Service
metadata: { name: hello, namespace: default, labels: { istio.io/use-waypoint: waypoint } }
spec:
  selector: { app: hello }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;
