#pragma once
/** What a batch comes to: which program compiles, where, and which runs. Loop thread. */
#include <stdbool.h>
#include <stddef.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "service/worker/script.h"

struct sb_err;
struct sb_stage;
struct sb_worker;

struct sb_recipe {
    bool compiles;
    bool is_shared;        /* the workspace is a directory of the host: what is there stays there */
    const char *directory; /* where sources and programs are; static */
    struct sb_script compile; /* of a source; empty: as the request says */
    struct sb_script run;
    size_t max_output; /* bytes of each stream in a result */
};

/** One program to start. Not to be moved: the messages point at each other, and into the request.
 */
struct sb_recipe_step {
    Aisbx__V1__ExecTarget target;
    Aisbx__V1__SandboxSpec sandbox;
    Aisbx__V1__ExecSpec exec;
    Aisbx__V1__Command command;
    char **args; /* owned list of borrowed texts; NULL: command has those of the request */
};

/** @stage  gets the source; made when it is NULL and one is needed.   @req  outlives the recipe.
 *  Errors: SB_INVALID naming the field; of sb_policy_make; SB_PRECONDITION: the language. */
int sb_recipe_make(struct sb_worker *worker,
                   Aisbx__V1__RunBatchRequest *req,
                   struct sb_stage **stage,
                   struct sb_recipe *ret_recipe,
                   struct sb_err *err);
void sb_recipe_done(struct sb_recipe *recipe);

/** Errors: SB_EXHAUSTED. */
int sb_recipe_compile(const struct sb_recipe *recipe,
                      Aisbx__V1__RunBatchRequest *req,
                      struct sb_recipe_step *ret_step,
                      struct sb_err *err);
int sb_recipe_run(const struct sb_recipe *recipe,
                  Aisbx__V1__RunBatchRequest *req,
                  const Aisbx__V1__BatchCase *with,
                  struct sb_recipe_step *ret_step,
                  struct sb_err *err);
void sb_recipe_step_done(struct sb_recipe_step *step);
