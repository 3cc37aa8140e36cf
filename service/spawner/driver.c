#include "service/spawner/driver.h"

const struct sb_driver *const sb_drivers[SB_DRIVER_MAX] = {
    &sb_driver_native,
    &sb_driver_bwrap,
    &sb_driver_chroot,
};

const struct sb_driver *sb_driver_find(Spawn__V1__Driver number)
{
    for (size_t i = 0; sb_drivers[i] != NULL; i++) {
        if (sb_drivers[i]->number == number) {
            return sb_drivers[i];
        }
    }
    return NULL;
}
