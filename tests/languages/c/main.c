#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *twice(void *arg)
{
    int *n = arg;
    *n *= 2;
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    int values[4] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, twice, &values[i]);
    }
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += values[i];
    }
    FILE *pipe = popen("echo 42", "r");
    char line[8] = "";
    if (pipe == NULL || fgets(line, sizeof line, pipe) == NULL || pclose(pipe) != 0) {
        return 1;
    }
    return sum == 20 && strcmp(line, "42\n") == 0 ? puts("c ok") < 0 : 1;
}
