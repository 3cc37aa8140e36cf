/* Theory of operation. Classic BPF jumps forward only, so code is written from its end: what a node
 * jumps to is there before it. A conditional jump reaches 255 instructions. What lies farther is
 * given a second way in, near by: a return once more, an unconditional jump to anything else.
 *
 * A question needs its word in the accumulator, and some need it masked. A node is entered in front
 * of the load, or behind it by nodes that left there the word with all the bits that count, or
 * behind the mask by those that left just these. What nobody needs is not there. */
#include "service/spawner/bpf/emit.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/bpf/graph.h"

enum { MAX_JUMP = 255, BYTES_OF_WORD = 4 };

/* What a node finds in the accumulator. */
enum found { FOUND_NOTHING, FOUND_WORD, FOUND_ALL, N_FOUND };

/* Places are counted from the end of the program, from 1 on; 0: not there. */
struct place {
    uint16_t entries[N_FOUND];
    bool is_entered[N_FOUND];
    bool is_seen;
};

struct emit {
    const struct sb_bpf_graph *graph;
    struct place *places; /* one for each node */
    struct sock_filter code[BPF_MAXINSNS];
    unsigned n;
    bool is_full;
};

static uint32_t mask_of(const struct sb_bpf_node *node)
{
    return node->test.kind == SB_BPF_MASK ? node->test.mask : UINT32_MAX;
}

/* What is found by a node behind another one. */
static enum found leave(const struct sb_bpf_node *from, const struct sb_bpf_node *to)
{
    if (to->test.kind == SB_BPF_RETURN) {
        return FOUND_ALL;
    }
    if (from->test.word != to->test.word || (mask_of(to) & ~mask_of(from)) != 0) {
        return FOUND_NOTHING;
    }
    return mask_of(to) == mask_of(from) ? FOUND_ALL : FOUND_WORD;
}

static void see(struct emit *emit, uint32_t at, enum found found)
{
    const struct sb_bpf_node *node = &emit->graph->nodes[at];
    struct place *place = &emit->places[at];
    place->is_entered[found] = true;
    if (place->is_seen || node->test.kind == SB_BPF_RETURN) {
        return;
    }
    place->is_seen = true;
    see(emit, node->yes, leave(node, &emit->graph->nodes[node->yes]));
    see(emit, node->no, leave(node, &emit->graph->nodes[node->no]));
}

/* Puts one instruction in front of those that are there. */
static uint16_t put(struct emit *emit, unsigned code, unsigned jt, unsigned jf, uint32_t k)
{
    if (emit->n == BPF_MAXINSNS) {
        emit->is_full = true;
        return 0;
    }
    emit->code[emit->n++] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, k};
    return (uint16_t)emit->n;
}

/* How far the way is from an instruction that comes next. */
static unsigned way_to(const struct emit *emit, uint16_t place)
{
    return emit->n - place;
}

/* Where the node is entered by @from; made anew where that is too far. */
static uint16_t *near(struct emit *emit, const struct sb_bpf_node *from, uint32_t at)
{
    const struct sb_bpf_node *node = &emit->graph->nodes[at];
    struct place *place = &emit->places[at];
    uint16_t *entry = &place->entries[leave(from, node)];
    if (way_to(emit, *entry) >= MAX_JUMP) { /* one less than that: the other way may need one */
        *entry = node->test.kind == SB_BPF_RETURN
                     ? put(emit, BPF_RET | BPF_K, 0, 0, node->test.k)
                     : put(emit, BPF_JMP | BPF_JA, 0, 0, way_to(emit, *entry));
    }
    return entry;
}

static void put_test(struct emit *emit, const struct sb_bpf_node *node)
{
    static const uint16_t jumps[] = {
        [SB_BPF_EQ] = BPF_JMP | BPF_JEQ | BPF_K,
        [SB_BPF_GT] = BPF_JMP | BPF_JGT | BPF_K,
        [SB_BPF_ANY] = BPF_JMP | BPF_JSET | BPF_K,
        [SB_BPF_MASK] = BPF_JMP | BPF_JEQ | BPF_K,
    };
    const uint16_t *yes = near(emit, node, node->yes);
    const uint16_t *no = near(emit, node, node->no);
    (void)put(emit, jumps[node->test.kind], way_to(emit, *yes), way_to(emit, *no), node->test.k);
}

static void write_node(struct emit *emit, uint32_t at)
{
    const struct sb_bpf_node *node = &emit->graph->nodes[at];
    struct place *place = &emit->places[at];
    uint16_t *entries = place->entries;
    if (entries[FOUND_ALL] != 0 || emit->is_full) {
        return;
    }
    if (node->test.kind == SB_BPF_RETURN) {
        entries[FOUND_ALL] = put(emit, BPF_RET | BPF_K, 0, 0, node->test.k);
        return;
    }
    write_node(emit, node->no);
    write_node(emit, node->yes);
    put_test(emit, node);
    entries[FOUND_ALL] = entries[FOUND_WORD] = (uint16_t)emit->n;
    if (!place->is_entered[FOUND_WORD] && !place->is_entered[FOUND_NOTHING]) {
        return;
    }
    if (node->test.kind == SB_BPF_MASK) {
        entries[FOUND_WORD] = put(emit, BPF_ALU | BPF_AND | BPF_K, 0, 0, node->test.mask);
    }
    if (place->is_entered[FOUND_NOTHING]) {
        entries[FOUND_NOTHING] =
            put(emit, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)node->test.word * BYTES_OF_WORD);
    }
}

static void emit_free(struct emit **emit)
{
    if (*emit != NULL) {
        free((*emit)->places);
        free(*emit);
    }
}

int sb_bpf_emit(const struct sb_bpf_graph *graph,
                uint32_t root,
                struct sock_fprog *ret_program,
                struct sb_err *err)
{
    SB_CLEANUP(emit_free) struct emit *emit = malloc(sizeof *emit);
    if (emit == NULL) {
        return sb_err_oom(err);
    }
    emit->graph = graph;
    emit->n = 0;
    emit->is_full = false;
    emit->places = calloc(graph->n_nodes, sizeof *emit->places);
    if (emit->places == NULL) {
        return sb_err_oom(err);
    }
    see(emit, root, FOUND_NOTHING);
    write_node(emit, root);
    if (emit->is_full) {
        return sb_err_set(err, SB_INVALID, "rules: more than %d instructions", BPF_MAXINSNS);
    }
    struct sock_filter *code = malloc(emit->n * sizeof *code);
    if (code == NULL) {
        return sb_err_oom(err);
    }
    for (unsigned i = 0; i < emit->n; i++) {
        code[i] = emit->code[emit->n - 1 - i];
    }
    *ret_program = (struct sock_fprog){.len = (unsigned short)emit->n, .filter = code};
    return 0;
}
