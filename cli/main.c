/** aisbx: the command line. */
#include "cli/program.h"
#include "cli/verb.h"

int main(int argc, char **argv)
{
    return sb_program_main(&sb_verb_aisbx, argc, argv);
}
