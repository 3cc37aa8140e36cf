// The official SDK, for tests that lie elsewhere than its packages.
export { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
