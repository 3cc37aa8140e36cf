// A server on the official SDKs with the one tool "echo", as their documentation builds it.
//   server.mjs SDK stdio
//   server.mjs SDK PORT [json]      prints a line when it serves; SDK 1 has sessions, and with json no streams
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import * as z from 'zod';

const [sdk, where, form] = process.argv.slice(2);
const info = { name: 'bench', version: '1.0.0' };
const echo = async ({ text }) => ({ content: [{ type: 'text', text }] });
const ready = () => console.error('ready');

if (sdk === '2') {
    const { McpServer, createMcpHandler } = await import('@modelcontextprotocol/server');
    const make = () => {
        const server = new McpServer(info, { capabilities: { tools: {} } });
        server.registerTool('echo', { description: 'echo', inputSchema: z.object({ text: z.string() }) }, echo);
        return server;
    };
    if (where === 'stdio') {
        const { serveStdio } = await import('@modelcontextprotocol/server/stdio');
        serveStdio(make);
    } else {
        const node = await import('@modelcontextprotocol/node');
        const handle = node.toNodeHandler(createMcpHandler(make));
        const checks = [node.localhostHostValidation(), node.localhostOriginValidation()];
        createServer((request, response) => {
            if (checks.every(check => check(request, response))) {
                void handle(request, response);
            }
        }).listen(Number(where), '127.0.0.1', ready);
    }
} else {
    const { McpServer } = await import('@modelcontextprotocol/sdk/server/mcp.js');
    const make = () => {
        const server = new McpServer(info, { capabilities: { tools: {} } });
        server.registerTool('echo', { description: 'echo', inputSchema: { text: z.string() } }, echo);
        return server;
    };
    if (where === 'stdio') {
        const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js');
        await make().connect(new StdioServerTransport());
    } else {
        const { StreamableHTTPServerTransport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js');
        const { createMcpExpressApp } = await import('@modelcontextprotocol/sdk/server/express.js');
        const sessions = new Map();
        const app = createMcpExpressApp();
        app.all('/mcp', async (request, response) => {
            let transport = sessions.get(request.headers['mcp-session-id']);
            if (!transport) {
                transport = new StreamableHTTPServerTransport({
                    sessionIdGenerator: randomUUID,
                    enableJsonResponse: form === 'json',
                    onsessioninitialized: id => sessions.set(id, transport),
                });
                await make().connect(transport);
            }
            await transport.handleRequest(request, response, request.body);
        });
        app.listen(Number(where), '127.0.0.1', ready);
    }
}
