// Generated clients of every service of aisbx.v1, and one function that makes them.
import {
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  credentials,
  InterceptingCall,
  type Interceptor,
} from "@grpc/grpc-js";

import { ContextServiceClient } from "./aisbx/v1/context_service";
import { FileServiceClient } from "./aisbx/v1/file_service";
import { KeyServiceClient } from "./aisbx/v1/key_service";
import { PortServiceClient } from "./aisbx/v1/port_service";
import { SandboxServiceClient } from "./aisbx/v1/sandbox_service";
import { WorkerServiceClient } from "./aisbx/v1/worker_service";

export * from "./aisbx/v1/context_service";
export * from "./aisbx/v1/exec";
export * from "./aisbx/v1/file_service";
export * from "./aisbx/v1/key_service";
export * from "./aisbx/v1/port_service";
export * from "./aisbx/v1/profile";
export * from "./aisbx/v1/sandbox";
export * from "./aisbx/v1/sandbox_service";
export * from "./aisbx/v1/verdict";
export * from "./aisbx/v1/worker_service";

export interface ConnectOptions {
  /** API key, sent as x-api-key with every call. */
  apiKey?: string;
  /** TLS or mTLS; default: none, which a worker accepts only on a unix socket or on loopback. */
  credentials?: ChannelCredentials;
  /** More options of @grpc/grpc-js. */
  channel?: ClientOptions;
}

export interface Aisbx {
  sandboxes: SandboxServiceClient;
  files: FileServiceClient;
  contexts: ContextServiceClient;
  ports: PortServiceClient;
  keys: KeyServiceClient;
  worker: WorkerServiceClient;
  close(): void;
}

const withKey =
  (key: string): Interceptor =>
  (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        metadata.set("x-api-key", key);
        next(metadata, listener);
      },
    });

/** `unix:/run/aisbx/worker.sock`, `dns:///host:7443` or `host:7443`. Connects with the first call. */
export function connect(address: string, options: ConnectOptions = {}): Aisbx {
  const creds = options.credentials ?? credentials.createInsecure();
  const channel: ClientOptions = {
    ...options.channel,
    ...(options.apiKey ? { interceptors: [withKey(options.apiKey)] } : {}),
  };
  const clients = {
    sandboxes: new SandboxServiceClient(address, creds, channel),
    files: new FileServiceClient(address, creds, channel),
    contexts: new ContextServiceClient(address, creds, channel),
    ports: new PortServiceClient(address, creds, channel),
    keys: new KeyServiceClient(address, creds, channel),
    worker: new WorkerServiceClient(address, creds, channel),
  };
  return {
    ...clients,
    close: () => Object.values(clients).forEach((client: Client) => client.close()),
  };
}

export type { CallOptions };
