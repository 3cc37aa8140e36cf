/* Verbs about the ports and the network of a sandbox. */
#include <stdint.h>

#include "cli/option.h"
#include "cli/verb.h"
#include "cli/verb_rows.h"

static const char *const expose_examples[] = {
    "Let callers reach a server in a sandbox through the gateway",
    "aisbx exec --detach \"$id\" python3 -m http.server 8080 && aisbx expose \"$id\" 8080",
    "A link for a browser, good for an hour",
    "aisbx expose --share 1h \"$id\" 8080",
    NULL,
};
static const char *const ports_examples[] = {
    "What can be reached, and by how many connections it is",
    "aisbx ports sb_9xq2",
    NULL,
};
static const char *const unexpose_examples[] = {
    "Close it again",
    "aisbx unexpose sb_9xq2 8080",
    NULL,
};
static const char *const port_forward_examples[] = {
    "http://127.0.0.1:9000 leads to port 8080 in the sandbox, until Ctrl-C",
    "aisbx port-forward sb_9xq2 9000:8080",
    "Two ports, the first by whatever number is free here",
    "aisbx port-forward sb_9xq2 0:5432 8888",
    NULL,
};
static const char *const network_examples[] = {
    "What a sandbox may reach",
    "aisbx network sb_9xq2",
    "One registry only",
    "aisbx network --allow-host pypi.org:443,files.pythonhosted.org:443 sb_9xq2",
    "Nothing, and later all that the profile allows",
    "aisbx network --network none sb_9xq2 && aisbx network --network limited sb_9xq2",
    NULL,
};

const struct sb_verb sb_verb_rows_network[] = {
    {
        .name = "expose",
        .summary = "Let callers reach a port of a sandbox",
        .usage = "[OPTIONS] SANDBOX PORT",
        .about = "A program inside may listen there now or later, on 127.0.0.1 or ::1. Prints the "
                 "path at which the gateway (aisbx-mcp) passes HTTP and WebSocket on to it, for "
                 "callers of the sandbox's tenant. Ports that are not exposed cannot be reached.",
        .groups = {&sb_option_expose},
        .min_operands = 2,
        .max_operands = 2,
        .wants = "a sandbox and a port",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = expose_examples,
        .run = sb_verb_expose,
    },
    {
        .name = "ports",
        .summary = "List the exposed ports of a sandbox",
        .usage = "SANDBOX",
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = ports_examples,
        .run = sb_verb_ports,
    },
    {
        .name = "unexpose",
        .summary = "Let nobody reach ports of a sandbox any more",
        .usage = "SANDBOX PORT...",
        .about = "Open connections are closed.",
        .min_operands = 2,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox and a port",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = unexpose_examples,
        .run = sb_verb_unexpose,
    },
    {
        .name = "port-forward",
        .summary = "Reach ports of a sandbox as if they were here",
        .usage = "[OPTIONS] SANDBOX [LOCAL:]PORT...",
        .about = "Listens here, and carries each connection to that port inside, until Ctrl-C or "
                 "the end of the sandbox. LOCAL is the same number unless it is given; 0 picks "
                 "one. A port that is not exposed is, for as long. The worker may be on another "
                 "machine.",
        .groups = {&sb_option_port_forward},
        .min_operands = 2,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox and a port",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = port_forward_examples,
        .run = sb_verb_port_forward,
    },
    {
        .name = "network",
        .summary = "Show or change what a sandbox may reach",
        .usage = "[OPTIONS] SANDBOX",
        .about = "Without options shows the rules in force. With options replaces them, within the "
                 "sandbox's profile, and returns when no connection is left that they forbid. "
                 "Only a sandbox that was made with a limited network can have one.",
        .groups = {&sb_option_network},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = network_examples,
        .run = sb_verb_network,
    },
    {.name = NULL},
};
