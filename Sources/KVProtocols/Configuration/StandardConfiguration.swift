extension ClusterConfiguration {
    /// The text of `configs/lmdb.json`: a controller and four nodes on this machine, data under `data/`. What `kv up`
    /// runs when it is given no file.
    public static let standardText = """
        {
          "$schema": "./cluster.schema.json",
          "cluster": {
            "name": "demo",
            "partitions": 64,
            "replication": { "replicas": 3, "write_quorum": 2, "read_quorum": 2 },
            "heartbeat_ms": 500,
            "fail_after_ms": 3000,
            "replace_after_ms": 5000
          },
          "controller": {
            "listen": "127.0.0.1:8000",
            "backend": { "type": "lmdb", "path": "data/controller" }
          },
          "nodes": [
            {
              "name": "worker1",
              "listen": "127.0.0.1:8001",
              "peer_listen": "127.0.0.1:9001",
              "backend": { "type": "lmdb", "path": "data/worker1" }
            },
            {
              "name": "worker2",
              "listen": "127.0.0.1:8002",
              "peer_listen": "127.0.0.1:9002",
              "backend": { "type": "lmdb", "path": "data/worker2" }
            },
            {
              "name": "worker3",
              "listen": "127.0.0.1:8003",
              "peer_listen": "127.0.0.1:9003",
              "backend": { "type": "lmdb", "path": "data/worker3" }
            },
            {
              "name": "worker4",
              "listen": "127.0.0.1:8004",
              "peer_listen": "127.0.0.1:9004",
              "backend": { "type": "lmdb", "path": "data/worker4" }
            }
          ]
        }

        """
}
