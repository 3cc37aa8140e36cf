#pragma once
/** Checks arguments against the part of JSON Schema 2020-12 that our tools use: type, properties,
 *  required, additionalProperties:false, enum, const, minimum, maximum, minLength, maxLength,
 * items, minItems, maxItems. Other words are left to the tool. The schema is ours: it is trusted,
 * the value is not. */
struct cJSON;
struct sb_err;

/** Errors: SB_INVALID: "arguments.timeout_ms: must be at least 1". */
int sb_schema_check(const struct cJSON *schema, const struct cJSON *value, struct sb_err *err);
