/** aisbx-security: the operator's command line. */
#include "cli/program.h"
#include "cli/security/program.h"

int main(int argc, char **argv)
{
    return sb_program_main(&sb_security_program, argc, argv);
}
