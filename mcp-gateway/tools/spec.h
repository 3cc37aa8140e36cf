#pragma once
/** What a sandbox is to be, from the arguments of a tool. */
#include "aisbx/v1/sandbox.pb-c.h"

struct cJSON;
struct sb_mcp_call;

/** Of sandboxes that nobody named a profile for: the workspace can be written. */
#define SB_SPEC_PROFILE "python-dev"

enum { SB_SPEC_MAX_LABELS = 16, SB_SPEC_MAX_PACKAGES = 64, SB_SPEC_PACKAGE_SIZE = 210 };

/** Not to be moved: the message points into it. */
struct sb_spec {
    Aisbx__V1__SandboxSpec sandbox;
    Aisbx__V1__Network network;
    Aisbx__V1__SandboxSpec__LabelsEntry labels[SB_SPEC_MAX_LABELS];
    Aisbx__V1__SandboxSpec__LabelsEntry *label_list[SB_SPEC_MAX_LABELS];
    char package_texts[SB_SPEC_MAX_PACKAGES][SB_SPEC_PACKAGE_SIZE];
    char *packages[SB_SPEC_MAX_PACKAGES];
};

/** profile, network, labels, packages; those without a prefix are of the language's manager, when
 *  there is a language.  @profile  used when neither the arguments nor AISBX_DEFAULT_PROFILE
 *  name one; without a network then, unless the arguments say otherwise. Borrowed. */
void sb_spec_read(struct sb_spec *ret_spec, const struct cJSON *arguments, const char *profile);
/** Tells a client that asked for progress that packages are waited for. */
void sb_spec_tell(const struct sb_spec *spec, struct sb_mcp_call *call);
