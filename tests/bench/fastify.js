// The peer on Node: one process, the handler in it.
const fastify = require(process.argv[2])();
fastify.get('/hello', async () => ({ hello: 'world' }));
fastify.listen({ port: Number(process.argv[3]), host: '127.0.0.1' });
