extension ClusterConfiguration {
    /// A JSON Schema (draft 2020-12) of the configuration file, for editors; the text of
    /// `configs/cluster.schema.json`. It can't express the relations between values that `load` checks.
    public static let schemaText = """
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "title": "kvstore cluster",
          "description": "One file describes a whole cluster; each process picks its part by name.",
          "type": "object",
          "additionalProperties": false,
          "required": ["cluster", "controller", "nodes"],
          "properties": {
            "$schema": { "type": "string", "description": "For editors; ignored." },
            "cluster": {
              "type": "object",
              "additionalProperties": false,
              "required": ["name"],
              "properties": {
                "name": { "$ref": "#/$defs/name" },
                "partitions": {
                  "description": "Fixed when the cluster is created.",
                  "enum": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384],
                  "default": 64
                },
                "replication": {
                  "type": "object",
                  "additionalProperties": false,
                  "description": "read_quorum + write_quorum must be more than replicas.",
                  "properties": {
                    "replicas": {
                      "type": "integer", "minimum": 1, "maximum": 9,
                      "description": "Copies of each key, on as many nodes. 3, or the number of nodes if smaller, unless given."
                    },
                    "write_quorum": {
                      "type": "integer", "minimum": 1, "maximum": 9,
                      "description": "Copies on disk before a write is acknowledged. A majority unless given."
                    },
                    "read_quorum": {
                      "type": "integer", "minimum": 1, "maximum": 9,
                      "description": "Replicas that must answer before a value is shown. A majority unless given."
                    }
                  }
                },
                "heartbeat_ms": {
                  "type": "integer", "minimum": 10, "maximum": 60000, "default": 500,
                  "description": "How often a node reports to the controller."
                },
                "fail_after_ms": {
                  "type": "integer", "minimum": 21, "maximum": 600000, "default": 3000,
                  "description": "A node silent for so long is down. More than twice heartbeat_ms."
                },
                "replace_after_ms": {
                  "type": "integer", "minimum": 0, "maximum": 86400000, "default": 5000,
                  "description": "A node down for so long gets substitutes."
                },
                "bootstrap_wait_ms": {
                  "type": "integer", "minimum": 0, "maximum": 600000, "default": 10000,
                  "description": "How long the controller of a new cluster waits for all nodes."
                },
                "allow_insecure_network": {
                  "type": "boolean", "default": false,
                  "description": "Allow servers to listen where other machines reach them, without encryption and authentication. Only for networks where every machine is trusted."
                },
                "allow_volatile_storage": {
                  "type": "boolean", "default": false,
                  "description": "Allow backends that forget everything when their process ends. For tests."
                },
                "hosts": {
                  "type": "array", "maxItems": 256,
                  "items": { "type": "string", "pattern": "^[a-zA-Z0-9._-]{1,253}$" },
                  "description": "Host names under which clients reach the servers, beside those in the addresses: that of a proxy, for instance. Requests to other names that contain a dot are refused."
                }
              }
            },
            "controller": {
              "type": "object",
              "additionalProperties": false,
              "required": ["listen", "backend"],
              "properties": {
                "listen": { "$ref": "#/$defs/address", "description": "Where its HTTP server listens." },
                "advertise": { "$ref": "#/$defs/address", "description": "Where nodes reach it; listen unless given." },
                "public_url": { "$ref": "#/$defs/url" },
                "backend": { "$ref": "#/$defs/backend" },
                "log": { "$ref": "#/$defs/log" }
              }
            },
            "nodes": {
              "type": "array",
              "minItems": 1,
              "maxItems": 256,
              "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name", "listen", "peer_listen", "backend"],
                "properties": {
                  "name": { "$ref": "#/$defs/name" },
                  "listen": { "$ref": "#/$defs/address", "description": "Where its HTTP server listens." },
                  "peer_listen": { "$ref": "#/$defs/address", "description": "Where it listens for other nodes." },
                  "advertise": {
                    "$ref": "#/$defs/address",
                    "description": "Where the controller and other nodes reach its HTTP server; listen unless given."
                  },
                  "peer_advertise": {
                    "$ref": "#/$defs/address",
                    "description": "Where other nodes reach it; peer_listen unless given."
                  },
                  "public_url": { "$ref": "#/$defs/url" },
                  "zone": {
                    "type": "string", "pattern": "^[a-zA-Z0-9._-]{1,63}$",
                    "description": "Replicas are kept in different zones where there are enough."
                  },
                  "weight": {
                    "type": "integer", "minimum": 1, "maximum": 10000, "default": 100,
                    "description": "Its share of replicas and leaders compared with other nodes; 200 gets twice as many as 100."
                  },
                  "backend": { "$ref": "#/$defs/backend" },
                  "limits": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                      "max_value_bytes": {
                        "type": "integer", "minimum": 1, "maximum": 67108864, "default": 1048576,
                        "description": "The longest value that a client may write."
                      },
                      "max_body_bytes": {
                        "type": "integer", "minimum": 4096, "maximum": 268435456,
                        "description": "The longest body of a request; twice max_value_bytes and 1 MiB unless given."
                      },
                      "overlay_bytes": {
                        "type": "integer", "minimum": 1048576, "maximum": 68719476736,
                        "description": "Records in memory that wait for the backend; 64 MiB unless given."
                      },
                      "journal_segment_bytes": {
                        "type": "integer", "minimum": 1048576, "maximum": 1073741824,
                        "description": "The size of one file of the journal; 16 MiB unless given."
                      },
                      "max_inflight": {
                        "type": "integer", "minimum": 1, "maximum": 65536, "default": 4096,
                        "description": "Requests in progress at once; more are refused with status 503."
                      },
                      "scrub_bytes_per_second": {
                        "type": "integer", "minimum": 0, "maximum": 1073741824, "default": 4194304,
                        "description": "How much of the backend is read in the background to find damage; a record counts 8 KiB more than it has. 0: none."
                      },
                      "disk_reserve_bytes": {
                        "type": "integer", "minimum": 0, "maximum": 1125899906842624, "default": 134217728,
                        "description": "When less of the disk is free, this node refuses what grows, so that deletes and repairs have room. 0: none."
                      }
                    }
                  },
                  "log": { "$ref": "#/$defs/log" }
                }
              }
            }
          },
          "$defs": {
            "name": {
              "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
              "description": "1 to 63 characters of a-z 0-9 -, with a letter or digit at both ends."
            },
            "address": { "type": "string", "pattern": "^[^/]+:[0-9]{1,5}$", "examples": ["127.0.0.1:8001", "[::1]:8001"] },
            "url": {
              "type": "string", "pattern": "^https?://[^/?#]+/*$",
              "description": "Where browsers and clients reach it; http:// and advertise unless given."
            },
            "backend": {
              "type": "object",
              "additionalProperties": false,
              "required": ["type", "path"],
              "if": { "required": ["type"], "properties": { "type": { "const": "plugin" } } },
              "then": { "required": ["library"] },
              "else": { "properties": { "library": false } },
              "properties": {
                "type": {
                  "description": "The storage engine: one that comes along, or another that the program was built with.",
                  "anyOf": [
                    { "enum": ["file", "sqlite", "lmdb", "memory", "plugin"] },
                    { "type": "string", "pattern": "^[a-z0-9_]+$" }
                  ]
                },
                "path": {
                  "type": "string", "minLength": 1, "maxLength": 4095,
                  "description": "The data folder, this process's own. Relative to the working directory."
                },
                "library": {
                  "type": "string", "minLength": 1, "maxLength": 4095,
                  "description": "The shared library of a plugin. A bare name is looked for where the system looks; a path, with a slash, is relative to the working directory."
                },
                "options": {
                  "type": "object",
                  "description": "What the engine offers; kv backend list shows the names, for a plugin its own manual does.",
                  "additionalProperties": { "type": ["string", "number", "boolean"] }
                }
              }
            },
            "log": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "level": {
                  "enum": ["trace", "debug", "info", "notice", "warning", "error", "critical"],
                  "default": "notice"
                },
                "format": { "enum": ["text", "json"], "default": "text" }
              }
            }
          }
        }

        """
}
