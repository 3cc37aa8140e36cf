#pragma once

struct sb_out;

/** {"env": {...}}: of the environment what is named SANDBOX_..., but for what is named like a
 *  credential. A net below who sets them: nothing secret belongs there. @vars  ends with NULL. */
void sb_env_write(struct sb_out *out, char *const *vars);
