/** Swagger UI, which documentation.html loads before documentation.js. */
declare function SwaggerUIBundle(options: {
  url: string;
  dom_id: string;
  deepLinking: boolean;
  displayRequestDuration: boolean;
}): void;
