#pragma once

/** Where no control group bounds memory, a file of a sandbox, which may be one of memory, may have
 *  this part of the memory limit: limit / SB_FILE_PART bytes. */
enum { SB_FILE_PART = 2 };
