// Nothing is asked of another server: no validator, and no keys that outlive the page.
window.SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("reference"),
  validatorUrl: null,
  persistAuthorization: false,
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  deepLinking: true,
});
