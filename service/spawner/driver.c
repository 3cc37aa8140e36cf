#include "service/spawner/driver.h"

static const struct sb_driver *const drivers[] = {
    &sb_driver_native,
};

const struct sb_driver *sb_driver_find(Spawn__V1__Driver number)
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        if (drivers[i]->number == number) {
            return drivers[i];
        }
    }
    return NULL;
}
